//! A worker for jobs in a Postgres table: it waits for notifications, does one job after another, and loses none.
//!
//! A job is done within a transaction that holds its row. Whatever ends the worker ends the transaction as well, and the job is
//! there for the next one: any number of workers share a table.
//!
//! What you learn here: sqlx's smol flavour over Postgres; LISTEN instead of asking again and again; a cancellation that rolls
//! back by itself; a pool that is closed last, so that the server sees an orderly end of each session.
//!
//! ```text
//! cargo run --manifest-path examples/ecosystem/tokio/Cargo.toml --bin pg_jobs -- postgres://me@localhost/me
//!
//! psql -c "INSERT INTO jobs (text, millis) VALUES ('sweep the floor', 2000)"
//! ```

#![forbid(unsafe_code)]

use std::convert::Infallible;
use std::env;
use std::error::Error;
use std::time::Duration;

use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::{PgListener, PgPool, PgPoolOptions};

/// How the table came to be what it is. To change it, add a line: those before it have been done elsewhere already.
const MIGRATIONS: [(i64, &str, &str); 2] = [
    (1, "jobs", include_str!("../../pg_migrations/1_jobs.sql")),
    (
        2,
        "notify",
        include_str!("../../pg_migrations/2_notify.sql"),
    ),
];
/// Takes a job that nobody else does. Its row stays locked until the transaction ends.
const TAKE: &str = "SELECT id, text, millis FROM jobs WHERE done IS NULL ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED";
const FINISH: &str = "UPDATE jobs SET done = now() WHERE id = $1";

#[asyncio::main(terminate)]
async fn main() -> Result<Infallible, Box<dyn Error>> {
    let url = env::args().nth(1).ok_or("usage: pg_jobs URL")?;
    // One session listens, and one works.
    let pool = PgPoolOptions::new()
        .max_connections(2)
        .connect(&url)
        .await?;
    // The job that is under way is given back, and its session rolled back, before this cleanup is done.
    let worked = asyncio::finally(work(&pool), async || {
        pool.close().await;
        println!("the sessions are closed");
    });
    Ok(worked.await?)
}

async fn work(pool: &PgPool) -> sqlx::Result<Infallible> {
    migrate(pool).await?;
    // Before the first look, so that no job can come unnoticed in between.
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen("jobs").await?;
    println!("waiting for jobs");
    loop {
        while do_one(pool).await? {}
        // Says whether the connection was lost and made anew: then there may be jobs as well.
        listener.try_recv().await?;
    }
}

/// Does the next job; returns whether there was one.
async fn do_one(pool: &PgPool) -> sqlx::Result<bool> {
    let mut transaction = pool.begin().await?;
    let job: Option<(i64, String, i64)> = sqlx::query_as(TAKE)
        .fetch_optional(&mut *transaction)
        .await?;
    let Some((id, text, millis)) = job else {
        return Ok(false);
    };
    println!("job {id} has begun: {text}");
    asyncio::sleep(Duration::from_millis(millis.unsigned_abs())).await;
    sqlx::query(FINISH)
        .bind(id)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    println!("job {id} is done");
    Ok(true)
}

async fn migrate(pool: &PgPool) -> sqlx::Result<()> {
    let migrations = MIGRATIONS.map(|(version, name, sql)| {
        let sql = sql.into_sql_str();
        Migration::new(version, name.into(), MigrationType::Simple, sql, false)
    });
    Migrator::with_migrations(migrations.into())
        .run(pool)
        .await?;
    Ok(())
}
