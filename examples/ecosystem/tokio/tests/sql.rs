//! sqlx over SQLite, with both of its flavours: tokio's where there is a context, and smol's, which runs here as it is.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use asyncio::sync::Event;
use asyncio::tokio_compat;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use sqlx::{Connection as _, SqliteConnection};
use tokio::runtime::Handle;

/// A database in a file of its own, which goes with it.
struct Database {
    path: PathBuf,
}

impl Database {
    fn new(name: &str) -> Database {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let path = folder.join(format!("{name}-{}.sqlite", std::process::id()));
        Database { path }
    }

    fn options(&self) -> SqliteConnectOptions {
        let options = SqliteConnectOptions::new();
        options.filename(&self.path).create_if_missing(true)
    }

    async fn open(&self) -> SqlitePool {
        let pool = SqlitePoolOptions::new().max_connections(4);
        let pool = pool.connect_with(self.options()).await.unwrap();
        let create = "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL)";
        sqlx::query(create).execute(&pool).await.unwrap();
        pool
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        for end in ["", "-wal", "-shm", "-journal"] {
            let path = format!("{}{end}", self.path.display());
            let _ = std::fs::remove_file(path);
        }
    }
}

async fn insert<'a>(to: impl sqlx::SqliteExecutor<'a>, text: &str) -> i64 {
    let insert = sqlx::query("INSERT INTO notes (text) VALUES (?)").bind(text);
    insert.execute(to).await.unwrap().last_insert_rowid()
}

async fn texts(pool: &SqlitePool) -> Vec<String> {
    let select = sqlx::query_scalar("SELECT text FROM notes ORDER BY id");
    select.fetch_all(pool).await.unwrap()
}

/// What a program does with a database; the same whatever it runs on.
async fn use_database(name: &str) {
    let database = Database::new(name);
    let pool = database.open().await;
    assert_eq!(insert(&pool, "buy milk").await, 1);
    let mut transaction = pool.begin().await.unwrap();
    assert_eq!(insert(&mut *transaction, "drink it").await, 2);
    transaction.commit().await.unwrap();
    let mut transaction = pool.begin().await.unwrap();
    insert(&mut *transaction, "never mind").await;
    drop(transaction);
    assert_eq!(texts(&pool).await, ["buy milk", "drink it"]);
    let error = sqlx::query("SELECT nonsense").execute(&pool).await;
    assert!(matches!(error, Err(sqlx::Error::Database(_))));
    pool.close().await;
    let mut connection = SqliteConnection::connect_with(&database.options())
        .await
        .unwrap();
    let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM notes")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(count, 2);
    connection.close().await.unwrap();
}

/// A transaction that is cancelled in the middle leaves nothing behind, and its connection to the next one.
async fn cancel_a_transaction(name: &str) {
    let database = Database::new(name);
    let pool = database.open().await;
    let begun = Rc::new(Event::new());
    let (busy, has_begun) = (pool.clone(), begun.clone());
    let task = asyncio::spawn(async move {
        let mut transaction = busy.begin().await.unwrap();
        insert(&mut *transaction, "during").await;
        has_begun.set();
        asyncio::sleep(Duration::MAX).await;
        transaction.commit().await.unwrap();
    });
    begun.wait().await;
    task.cancel();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(insert(&pool, "after").await, 1);
    assert_eq!(texts(&pool).await, ["after"]);
    pool.close().await;
}

#[asyncio::test(timeout = "20s")]
async fn with_a_context_a_database_is_used_through_tokio() {
    tokio_compat(use_database("tokio")).await;
}

#[asyncio::test(timeout = "20s")]
async fn without_one_it_is_used_through_smol_and_no_code_of_ours() {
    assert!(Handle::try_current().is_err());
    use_database("smol").await;
}

#[asyncio::test(tokio, timeout = "20s")]
async fn a_cancelled_transaction_is_rolled_back_in_tokio() {
    cancel_a_transaction("tokio-cancel").await;
}

#[asyncio::test(timeout = "20s")]
async fn a_cancelled_transaction_is_rolled_back_in_smol() {
    cancel_a_transaction("smol-cancel").await;
}
