//! sqlx over Postgres, with both of its flavours: tokio's where there is a context, and smol's, which runs here as it is.
//!
//! Each test has a server of its own, which stops in the end only if no session is left.
#![cfg(unix)]

mod cluster;
#[path = "../../../../tests/support/mod.rs"]
mod support;

use std::collections::HashSet;
use std::rc::Rc;
use std::time::Duration;

use asyncio::sync::Event;
use asyncio::{TaskGroup, timeout, tokio_compat};
use cluster::{Cluster, USER};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, PgExecutor, SqlSafeStr as _};
use tokio::runtime::Handle;

/// Reached only by failing tests.
const PATIENCE: Duration = Duration::from_secs(20);
/// Short enough to wait for.
const SHORT: Duration = Duration::from_millis(50);
/// How many sessions a pool may have.
const MOST: u32 = 10;

/// How the tables came to be what they are.
const MIGRATIONS: [(i64, &str, &str); 2] = [
    (
        1,
        "notes",
        "CREATE TABLE notes (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text TEXT NOT NULL)",
    ),
    (
        2,
        "done",
        "ALTER TABLE notes ADD COLUMN done BOOLEAN NOT NULL DEFAULT false",
    ),
];

/// What sqlx runs on.
#[derive(Clone, Copy, Debug)]
enum Flavour {
    Smol,
    Tokio,
}

/// Runs `test` on a loop, with options to connect a server of its own, which must stop after it.
fn with_server<F: Future<Output = ()>>(
    name: &str,
    flavour: Flavour,
    test: impl FnOnce(PgConnectOptions) -> F,
) {
    let Some(cluster) = Cluster::start(&format!("{name}-{flavour:?}")) else {
        return;
    };
    let options = PgConnectOptions::new_without_pgpass()
        .socket(cluster.socket())
        .port(5432)
        .username(USER)
        .database("postgres");
    let test = timeout(PATIENCE, test(options));
    let in_time = match flavour {
        Flavour::Smol => asyncio::run(async {
            assert!(Handle::try_current().is_err());
            test.await
        }),
        Flavour::Tokio => asyncio::run(tokio_compat(test)),
    };
    in_time.unwrap().expect("it ends in time");
    cluster.stop();
}

/// Opens a pool, with tables.
async fn open(options: PgConnectOptions) -> PgPool {
    let pool = PgPoolOptions::new().max_connections(MOST);
    let pool = pool.connect_with(options).await.unwrap();
    migrate(&pool).await;
    pool
}

async fn migrate(pool: &PgPool) {
    let migrations = MIGRATIONS.map(|(version, name, sql)| {
        let sql = sql.into_sql_str();
        Migration::new(version, name.into(), MigrationType::Simple, sql, false)
    });
    let migrator = Migrator::with_migrations(migrations.into());
    migrator.run(pool).await.unwrap();
}

async fn insert<'a>(to: impl PgExecutor<'a>, text: &str) -> i64 {
    let insert = sqlx::query_scalar("INSERT INTO notes (text) VALUES ($1) RETURNING id");
    insert.bind(text).fetch_one(to).await.unwrap()
}

async fn texts(pool: &PgPool) -> Vec<String> {
    let select = sqlx::query_scalar("SELECT text FROM notes WHERE NOT done ORDER BY id");
    select.fetch_all(pool).await.unwrap()
}

/// What a program does with a database; the same whatever it runs on.
async fn use_database(options: PgConnectOptions) {
    let pool = open(options.clone()).await;
    // A program that is started again finds them done.
    migrate(&pool).await;
    assert_eq!(insert(&pool, "buy milk").await, 1);
    let mut transaction = pool.begin().await.unwrap();
    insert(&mut *transaction, "drink it").await;
    // Nobody else sees it yet.
    assert_eq!(texts(&pool).await, ["buy milk"]);
    transaction.commit().await.unwrap();
    let mut transaction = pool.begin().await.unwrap();
    insert(&mut *transaction, "never mind").await;
    transaction.rollback().await.unwrap();
    assert_eq!(texts(&pool).await, ["buy milk", "drink it"]);
    let error = sqlx::query("SELECT nonsense").execute(&pool).await;
    assert!(matches!(error, Err(sqlx::Error::Database(_))));
    pool.close().await;
    let mut connection = PgConnection::connect_with(&options).await.unwrap();
    let long: String = sqlx::query_scalar("SELECT repeat('x', 1000000)")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(long.len(), 1_000_000);
    connection.close().await.unwrap();
}

/// A transaction that is cancelled between two statements leaves nothing behind, not even a lock.
async fn cancel_between_statements(options: PgConnectOptions) {
    let pool = open(options).await;
    insert(&pool, "before").await;
    let begun = Rc::new(Event::new());
    let (busy, has_begun) = (pool.clone(), begun.clone());
    let task = asyncio::spawn(async move {
        let mut transaction = busy.begin().await.unwrap();
        insert(&mut *transaction, "during").await;
        lock_first(&mut *transaction, "").await.unwrap();
        has_begun.set();
        asyncio::sleep(Duration::MAX).await;
        transaction.commit().await.unwrap();
    });
    begun.wait().await;
    let refused = lock_first(&pool, "NOWAIT").await;
    assert!(matches!(refused, Err(sqlx::Error::Database(_))));
    task.cancel();
    assert!(task.await.unwrap_err().is_cancelled());
    // This waits until the session is rolled back, which sqlx does behind the scenes.
    lock_first(&pool, "").await.unwrap();
    assert_eq!(texts(&pool).await, ["before"]);
    pool.close().await;
}

/// Locks the first row as long as the transaction lasts. With `NOWAIT` it fails if somebody else has.
async fn lock_first<'a>(with: impl PgExecutor<'a>, how: &str) -> sqlx::Result<()> {
    let lock = match how {
        "NOWAIT" => "SELECT id FROM notes WHERE id = 1 FOR UPDATE NOWAIT",
        _ => "SELECT id FROM notes WHERE id = 1 FOR UPDATE",
    };
    sqlx::query(lock).execute(with).await.map(drop)
}

/// A transaction that is cancelled while the server works at a statement of it: its session is of use again as soon as the
/// server is done with that, and nothing of it is left.
async fn cancel_within_a_statement(options: PgConnectOptions) {
    let pool = open(options).await;
    insert(&pool, "before").await;
    let mut owner = pool.begin().await.unwrap();
    lock_first(&mut *owner, "").await.unwrap();
    let busy = pool.clone();
    let task = asyncio::spawn(async move {
        let mut transaction = busy.begin().await.unwrap();
        insert(&mut *transaction, "during").await;
        lock_first(&mut *transaction, "").await.unwrap();
        transaction.commit().await.unwrap();
    });
    while waiting_for_locks(&pool).await == 0 {
        asyncio::sleep(Duration::from_millis(1)).await;
    }
    task.cancel();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(waiting_for_locks(&pool).await, 1);
    owner.commit().await.unwrap();
    // All sessions at once, among them that one.
    let mut all = Vec::new();
    for _ in 0..MOST {
        all.push(pool.acquire().await.unwrap());
    }
    lock_first(&mut *all[0], "").await.unwrap();
    drop(all);
    assert_eq!(texts(&pool).await, ["before"]);
    pool.close().await;
}

async fn waiting_for_locks(pool: &PgPool) -> i64 {
    let count = sqlx::query_scalar("SELECT count(*) FROM pg_locks WHERE NOT granted");
    count.fetch_one(pool).await.unwrap()
}

/// Notifications come in order, once each; a wait for one that is cancelled loses none.
async fn listen_and_notify(options: PgConnectOptions) {
    let pool = open(options).await;
    let mut listener = PgListener::connect_with(&pool).await.unwrap();
    listener.listen("notes").await.unwrap();
    let notify = async |text: String| {
        let notify = sqlx::query("SELECT pg_notify('notes', $1)").bind(text);
        notify.execute(&pool).await.unwrap();
    };
    for round in 0..3 {
        assert!(timeout(SHORT, listener.recv()).await.is_err());
        for number in 0..10 {
            notify(format!("{round}.{number}")).await;
        }
        for number in 0..10 {
            let received = listener.recv().await.unwrap();
            assert_eq!(received.channel(), "notes");
            assert_eq!(received.payload(), format!("{round}.{number}"));
        }
    }
    // Sent by a transaction, so only if and when that is committed.
    let mut transaction = pool.begin().await.unwrap();
    sqlx::query("NOTIFY notes, 'never'")
        .execute(&mut *transaction)
        .await
        .unwrap();
    transaction.rollback().await.unwrap();
    notify("last".to_owned()).await;
    assert_eq!(listener.recv().await.unwrap().payload(), "last");
    drop(listener);
    pool.close().await;
}

/// Many tasks share a few sessions; some are cancelled, wherever they are, and the pool is whole afterwards.
async fn share_sessions(options: PgConnectOptions) {
    const TASKS: usize = 200;
    let pool = open(options).await;
    let sessions = TaskGroup::scope(async |group| {
        let mut tasks = Vec::new();
        for number in 0..TASKS {
            let pool = pool.clone();
            tasks.push(group.spawn(async move { ask_session(&pool, number as i64).await }));
        }
        for task in tasks.iter().step_by(3) {
            task.cancel();
            asyncio::sleep(Duration::from_millis(1)).await;
        }
        let mut sessions = HashSet::new();
        for task in tasks {
            match task.await {
                Ok(session) => drop(sessions.insert(session)),
                Err(error) => assert!(error.is_cancelled()),
            }
        }
        Ok::<_, std::convert::Infallible>(sessions)
    })
    .await
    .unwrap();
    assert!(sessions.len() > 1, "{sessions:?}");
    // More may have been seen: one that is cancelled in the middle of an answer may be ended, and replaced.
    assert!(pool.size() <= MOST);
    let mut all = Vec::new();
    for _ in 0..MOST {
        all.push(pool.acquire().await.unwrap());
    }
    assert!(pool.try_acquire().is_none());
    for (number, session) in all.iter_mut().enumerate() {
        let answer: i64 = sqlx::query_scalar("SELECT $1")
            .bind(number as i64)
            .fetch_one(&mut **session)
            .await
            .unwrap();
        assert_eq!(answer, number as i64);
    }
    drop(all);
    pool.close().await;
}

/// Returns which session it was that has answered, after a while.
async fn ask_session(pool: &PgPool, number: i64) -> i32 {
    let query = sqlx::query_as("SELECT pg_backend_pid(), $1, pg_sleep(0.01)::text").bind(number);
    let (session, answer, _): (i32, i64, String) = query.fetch_one(pool).await.unwrap();
    assert_eq!(answer, number);
    session
}

#[test]
fn a_database_is_migrated_and_used_through_smol() {
    with_server("use", Flavour::Smol, use_database);
}

#[test]
fn a_database_is_migrated_and_used_through_tokio() {
    with_server("use", Flavour::Tokio, use_database);
}

#[test]
fn a_transaction_that_is_cancelled_between_statements_is_rolled_back_in_smol() {
    with_server("between", Flavour::Smol, cancel_between_statements);
}

#[test]
fn a_transaction_that_is_cancelled_between_statements_is_rolled_back_in_tokio() {
    with_server("between", Flavour::Tokio, cancel_between_statements);
}

#[test]
fn a_transaction_that_is_cancelled_within_a_statement_is_rolled_back_in_smol() {
    with_server("within", Flavour::Smol, cancel_within_a_statement);
}

#[test]
fn a_transaction_that_is_cancelled_within_a_statement_is_rolled_back_in_tokio() {
    with_server("within", Flavour::Tokio, cancel_within_a_statement);
}

#[test]
fn notifications_are_waited_for_and_not_lost_in_smol() {
    with_server("listen", Flavour::Smol, listen_and_notify);
}

#[test]
fn notifications_are_waited_for_and_not_lost_in_tokio() {
    with_server("listen", Flavour::Tokio, listen_and_notify);
}

#[test]
fn many_tasks_share_a_pool_that_stays_whole_in_smol() {
    with_server("share", Flavour::Smol, share_sessions);
}

#[test]
fn many_tasks_share_a_pool_that_stays_whole_in_tokio() {
    with_server("share", Flavour::Tokio, share_sessions);
}
