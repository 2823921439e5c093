//! The worker for jobs in Postgres, as its users meet it: processes of its own, which share a table and are stopped.
#![cfg(unix)]

mod cluster;
#[path = "../../../../tests/support/mod.rs"]
mod support;

use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use cluster::{Cluster, USER};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection as _};
use support::child::{Child, SIGINT, SIGTERM, Setup};

/// Starts a worker, and returns it once it waits for jobs.
fn start_worker(cluster: &Cluster) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pg_jobs"));
    let socket = cluster.socket().display();
    command.arg(format!(
        "postgres:///postgres?host={socket}&port=5432&user={USER}"
    ));
    let mut worker = Setup::new(command).start();
    worker.wait_for_line("waiting for jobs");
    worker
}

/// Lets a worker stop, and sees that it has given its sessions back.
fn stop_worker(mut worker: Child, signal: i32) {
    worker.signal(signal);
    worker.wait_for_line("the sessions are closed");
    assert_eq!(worker.finish().status.signal(), Some(signal));
}

/// Asks the database, in a session of its own.
fn query<T>(cluster: &Cluster, sql: &str) -> T
where
    T: Send + Unpin + for<'a> sqlx::Decode<'a, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    let options = PgConnectOptions::new_without_pgpass()
        .socket(cluster.socket())
        .port(5432)
        .username(USER)
        .database("postgres");
    let asked = asyncio::run(async {
        let mut session = PgConnection::connect_with(&options).await?;
        let answer = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(&mut session)
            .await?;
        session.close().await?;
        Ok::<_, sqlx::Error>(answer)
    });
    asked.unwrap().unwrap()
}

/// Adds a job; returns its number.
fn add(cluster: &Cluster, text: &str, millis: u32) -> i64 {
    let insert =
        format!("INSERT INTO jobs (text, millis) VALUES ('{text}', {millis}) RETURNING id");
    query(cluster, &insert)
}

#[test]
fn a_worker_does_jobs_as_they_come() {
    let Some(cluster) = Cluster::start("jobs") else {
        return;
    };
    let mut worker = start_worker(&cluster);
    for number in 1..=3 {
        assert_eq!(add(&cluster, "sweep the floor", 0), number);
        worker.wait_for_line(&format!("job {number} has begun: sweep the floor"));
        worker.wait_for_line(&format!("job {number} is done"));
    }
    assert_eq!(
        query::<i64>(&cluster, "SELECT count(*) FROM jobs WHERE done IS NULL"),
        0
    );
    stop_worker(worker, SIGINT);
    cluster.stop();
}

#[test]
fn a_job_whose_worker_is_terminated_is_done_by_the_next_one() {
    let Some(cluster) = Cluster::start("given-back") else {
        return;
    };
    let mut first = start_worker(&cluster);
    add(&cluster, "wait for ever", 1_000_000_000);
    first.wait_for_line("job 1 has begun");
    // The other one passes over what is under way.
    let mut second = start_worker(&cluster);
    add(&cluster, "sweep the floor", 0);
    second.wait_for_line("job 2 is done");
    stop_worker(second, SIGINT);
    stop_worker(first, SIGTERM);
    let open = query::<i64>(&cluster, "SELECT count(*) FROM jobs WHERE done IS NULL");
    assert_eq!(open, 1);
    // Nobody holds it any more.
    query::<i64>(
        &cluster,
        "UPDATE jobs SET millis = 0 WHERE id = 1 RETURNING id",
    );
    let mut third = start_worker(&cluster);
    third.wait_for_line("job 1 is done");
    stop_worker(third, SIGTERM);
    cluster.stop();
}
