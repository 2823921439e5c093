//! A JSON API on axum over a database: what is to do is kept in a file of SQLite, whose tables grow with the program.
//!
//! What you learn here: that sqlx's smol flavour runs on this loop as it is, without tokio; migrations that are part of the program; errors that
//! are JSON as well; a pool that is closed when the last request has been answered.
//!
//! ```text
//! cargo run --manifest-path examples/ecosystem/tokio/Cargo.toml --bin todo_api -- 127.0.0.1:8083 todo.sqlite
//!
//! curl -d '{"text":"buy milk"}' -H 'content-type: application/json' http://127.0.0.1:8083/todos
//! curl http://127.0.0.1:8083/todos
//! curl -X PUT -d '{"text":"buy milk","done":true}' -H 'content-type: application/json' http://127.0.0.1:8083/todos/1
//! curl -X DELETE http://127.0.0.1:8083/todos/1
//! ```

#![forbid(unsafe_code)]

use std::convert::Infallible;
use std::env;
use std::error::Error;
use std::io;
use std::time::Duration;

use asyncio::axum::serve;
use asyncio::net::TcpListener;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions};

/// How the tables came to be what they are. To change them, add a line: those before it have been done elsewhere already.
const MIGRATIONS: [(i64, &str, &str); 2] = [
    (1, "todos", include_str!("../../migrations/1_todos.sql")),
    (2, "done", include_str!("../../migrations/2_done.sql")),
];

#[asyncio::main(terminate)]
async fn main() -> Result<Infallible, Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(address), Some(file)) = (arguments.next(), arguments.next()) else {
        return Err("usage: todo_api ADDRESS FILE".into());
    };
    let pool = open(&file).await?;
    // Requests that are under way at the stop still need it; nobody does when this cleanup begins.
    let served = asyncio::finally(run(&address, pool.clone()), async || {
        pool.close().await;
        println!("the database is closed");
    });
    Ok(served.await?)
}

/// Opens the file, or makes it, and brings its tables up to date.
async fn open(file: &str) -> sqlx::Result<SqlitePool> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal);
    let pool = SqlitePoolOptions::new()
        .max_connections(4)
        .acquire_timeout(Duration::from_secs(5))
        .connect_with(options)
        .await?;
    let migrations = MIGRATIONS.map(|(version, name, sql)| {
        let sql = sql.into_sql_str();
        Migration::new(version, name.into(), MigrationType::Simple, sql, false)
    });
    Migrator::with_migrations(migrations.into())
        .run(&pool)
        .await?;
    Ok(pool)
}

async fn run(address: &str, pool: SqlitePool) -> io::Result<Infallible> {
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let server = serve(listener, router(pool)).max_connections(1000);
    Ok(server.await)
}

fn router(pool: SqlitePool) -> Router {
    Router::new()
        .route("/todos", get(list).post(add))
        .route("/todos/{id}", get(show).put(change).delete(remove))
        .fallback(async || Problem::NotFound)
        .with_state(pool)
}

/// What a client may say of an entry.
#[derive(Deserialize)]
struct Content {
    text: String,
    #[serde(default)]
    done: bool,
}

#[derive(Serialize)]
struct Todo {
    id: i64,
    text: String,
    done: bool,
}

type Row = (i64, String, bool);

impl From<Row> for Todo {
    fn from((id, text, done): Row) -> Todo {
        Todo { id, text, done }
    }
}

type Id = Result<Path<i64>, PathRejection>;
type Body = Result<Json<Content>, JsonRejection>;

async fn list(State(pool): State<SqlitePool>) -> Result<Json<Vec<Todo>>, Problem> {
    let select = sqlx::query_as("SELECT id, text, done FROM todos ORDER BY id");
    let rows: Vec<Row> = select.fetch_all(&pool).await?;
    Ok(Json(rows.into_iter().map(Todo::from).collect()))
}

async fn add(
    State(pool): State<SqlitePool>,
    body: Body,
) -> Result<(StatusCode, Json<Todo>), Problem> {
    let content = checked(body)?;
    let insert =
        sqlx::query_as("INSERT INTO todos (text, done) VALUES (?, ?) RETURNING id, text, done");
    let insert = insert.bind(content.text).bind(content.done);
    let row: Row = insert.fetch_one(&pool).await?;
    Ok((StatusCode::CREATED, Json(row.into())))
}

async fn show(State(pool): State<SqlitePool>, id: Id) -> Result<Json<Todo>, Problem> {
    let select = sqlx::query_as("SELECT id, text, done FROM todos WHERE id = ?");
    let row: Option<Row> = select.bind(id?.0).fetch_optional(&pool).await?;
    Ok(Json(row.ok_or(Problem::NotFound)?.into()))
}

async fn change(State(pool): State<SqlitePool>, id: Id, body: Body) -> Result<Json<Todo>, Problem> {
    let (id, content) = (id?.0, checked(body)?);
    let update =
        sqlx::query_as("UPDATE todos SET text = ?, done = ? WHERE id = ? RETURNING id, text, done");
    let update = update.bind(content.text).bind(content.done).bind(id);
    let row: Option<Row> = update.fetch_optional(&pool).await?;
    Ok(Json(row.ok_or(Problem::NotFound)?.into()))
}

async fn remove(State(pool): State<SqlitePool>, id: Id) -> Result<StatusCode, Problem> {
    let delete = sqlx::query("DELETE FROM todos WHERE id = ?");
    let deleted = delete.bind(id?.0).execute(&pool).await?;
    match deleted.rows_affected() {
        0 => Err(Problem::NotFound),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}

fn checked(body: Body) -> Result<Content, Problem> {
    let Json(content) = body?;
    if content.text.trim().is_empty() {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return Err(Problem::Refused(status, "`text` is empty".to_owned()));
    }
    Ok(content)
}

/// What a client is told instead of an answer.
enum Problem {
    NotFound,
    Refused(StatusCode, String),
    Database(sqlx::Error),
}

impl From<PathRejection> for Problem {
    fn from(_no_number: PathRejection) -> Problem {
        Problem::NotFound
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Problem {
        Problem::Refused(rejection.status(), rejection.body_text())
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Problem {
        Problem::Database(error)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, error) = match self {
            Problem::NotFound => (StatusCode::NOT_FOUND, "There is nothing here.".to_owned()),
            Problem::Refused(status, why) => (status, why),
            Problem::Database(error) => {
                // Not for strangers.
                eprintln!("todo_api: {error}");
                let text = "The database failed.".to_owned();
                (StatusCode::INTERNAL_SERVER_ERROR, text)
            }
        };
        (status, Json(Explanation { error })).into_response()
    }
}

#[derive(Serialize)]
struct Explanation {
    error: String,
}
