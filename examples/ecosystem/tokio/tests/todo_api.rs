//! The server of what is to do, as its users meet it: a process of its own, with a file that outlives it.
#![cfg(unix)]

#[path = "../../tests/peers/mod.rs"]
mod peers;
#[path = "../../../../tests/support/mod.rs"]
mod support;

use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};

use peers::{as_json, ask, connect, read_until, receive, start};
use serde_json::json;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection as _, SqlSafeStr as _};
use support::child::{Child, SIGTERM};

/// A database in a file of its own, which goes with it.
struct Database {
    path: PathBuf,
}

impl Database {
    fn new(name: &str) -> Database {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let path = folder.join(format!("{name}-{}.sqlite", std::process::id()));
        Database { path }
    }

    fn serve(&self) -> (Child, String) {
        let path = self.path.to_str().unwrap();
        start(env!("CARGO_BIN_EXE_todo_api"), &["127.0.0.1:0", path])
    }

    /// What only an open database has beside it: what was not yet written to its place.
    fn log(&self) -> PathBuf {
        self.path.with_extension("sqlite-wal")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        for end in ["sqlite", "sqlite-wal", "sqlite-shm"] {
            let _ = std::fs::remove_file(self.path.with_extension(end));
        }
    }
}

/// Lets the server stop, and sees that it has closed its database.
fn terminate(mut child: Child, database: &Database) {
    child.signal(SIGTERM);
    child.wait_for_line("the database is closed");
    assert_eq!(child.finish().status.signal(), Some(SIGTERM));
    assert!(!database.log().exists());
}

#[test]
fn the_todo_server_keeps_what_is_to_do_in_its_file() {
    let database = Database::new("todos");
    let (child, address) = database.serve();
    assert!(database.log().exists());
    let (status, body) = ask(&address, "POST /todos", r#"{"text":"buy milk"}"#);
    let milk = json!({"id": 1, "text": "buy milk", "done": false});
    assert_eq!((status, as_json(&body)), (201, milk.clone()));
    ask(&address, "POST /todos", r#"{"text":"drink it"}"#);
    terminate(child, &database);

    let (child, address) = database.serve();
    let (status, body) = ask(&address, "GET /todos/1", "");
    assert_eq!((status, as_json(&body)), (200, milk));
    let done = r#"{"text":"buy tea","done":true}"#;
    let (status, body) = ask(&address, "PUT /todos/1", done);
    let tea = json!({"id": 1, "text": "buy tea", "done": true});
    assert_eq!((status, as_json(&body)), (200, tea.clone()));
    assert_eq!(ask(&address, "DELETE /todos/2", ""), (204, String::new()));
    let (status, body) = ask(&address, "GET /todos", "");
    assert_eq!((status, as_json(&body)), (200, json!([tea])));
    terminate(child, &database);
}

#[test]
fn the_todo_server_explains_in_json_what_it_refuses() {
    let database = Database::new("refused");
    let (child, address) = database.serve();
    let text = r#"{"text":"too late"}"#;
    for (head, body, expected) in [
        ("GET /todos/7", "", 404),
        ("PUT /todos/7", text, 404),
        ("DELETE /todos/7", "", 404),
        ("GET /todos/seven", "", 404),
        ("GET /nothing", "", 404),
        ("POST /todos", r#"{"txt":"no such field"}"#, 422),
        ("POST /todos", r#"{"text":" "}"#, 422),
        ("POST /todos", "{", 400),
    ] {
        let (status, answer) = ask(&address, head, body);
        assert_eq!(status, expected, "{head} {body}");
        assert!(as_json(&answer)["error"].is_string(), "{answer}");
    }
    assert_eq!(ask(&address, "GET /todos", ""), (200, "[]".to_owned()));
    terminate(child, &database);
}

#[test]
fn the_todo_server_stores_what_is_under_way_when_it_is_terminated() {
    const BODY: &str = r#"{"text":"hurry"}"#;
    let database = Database::new("terminated");
    let (mut child, address) = database.serve();
    let (mut client, mut idle) = (connect(&address), connect(&address));
    let head = format!(
        "POST /todos HTTP/1.1\r\nhost: me\r\ncontent-type: application/json\r\nexpect: 100-continue\r\n\
         content-length: {}\r\n\r\n",
        BODY.len()
    );
    client.write_all(head.as_bytes()).unwrap();
    // The handler has begun, and waits for the body.
    let go_on = read_until(&mut client, "\r\n\r\n");
    assert!(go_on.starts_with("HTTP/1.1 100 "), "{go_on}");
    child.signal(SIGTERM);
    assert_eq!(idle.read(&mut [0]).unwrap(), 0);
    client.write_all(BODY.as_bytes()).unwrap();
    assert_eq!(receive(client).0, 201);
    child.wait_for_line("the database is closed");
    assert_eq!(child.finish().status.signal(), Some(SIGTERM));

    let (child, address) = database.serve();
    let (_, body) = ask(&address, "GET /todos", "");
    let stored = json!([{"id": 1, "text": "hurry", "done": false}]);
    assert_eq!(as_json(&body), stored);
    terminate(child, &database);
}

/// Makes the file as the program's first version has left it.
async fn make_first_version(path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let options = SqliteConnectOptions::new().filename(path);
    let mut connection = SqliteConnection::connect_with(&options.create_if_missing(true)).await?;
    let sql = include_str!("../migrations/1_todos.sql").into_sql_str();
    let migration = Migration::new(1, "todos".into(), MigrationType::Simple, sql, false);
    Migrator::with_migrations(vec![migration])
        .run(&mut connection)
        .await?;
    sqlx::query("INSERT INTO todos (text) VALUES ('from long ago')")
        .execute(&mut connection)
        .await?;
    Ok(connection.close().await?)
}

#[test]
fn the_todo_server_brings_an_old_file_up_to_date() {
    let database = Database::new("old");
    asyncio::run(make_first_version(&database.path))
        .unwrap()
        .unwrap();
    let (child, address) = database.serve();
    let (status, body) = ask(&address, "GET /todos", "");
    let old = json!([{"id": 1, "text": "from long ago", "done": false}]);
    assert_eq!((status, as_json(&body)), (200, old));
    terminate(child, &database);
}
