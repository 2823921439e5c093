//! A JSON API on axum: notes are added, listed, changed and taken away.
//!
//! What you learn here: that axum needs no other runtime; how Ctrl-C or SIGTERM become an orderly stop without a word in the
//! program; how a handler waits for something of this loop.
//!
//! ```text
//! cargo run --manifest-path examples/ecosystem/Cargo.toml --bin json_api -- 127.0.0.1:8080
//!
//! curl -d '{"text":"buy milk"}' -H 'content-type: application/json' http://127.0.0.1:8080/notes
//! curl http://127.0.0.1:8080/notes
//! curl http://127.0.0.1:8080/notes/1
//! curl -X DELETE http://127.0.0.1:8080/notes/1
//! curl http://127.0.0.1:8080/slow
//! ```

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::env;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use asyncio::axum::{Peer, local, serve};
use asyncio::net::TcpListener;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

/// How long `/slow` takes: something that is under way when the server is asked to stop.
const SLOW: Duration = Duration::from_millis(500);

#[asyncio::main(terminate)]
async fn main() -> io::Result<Infallible> {
    let address = env::args().nth(1);
    let address = address.as_deref().unwrap_or("127.0.0.1:8080");
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let server = serve(listener, router(Store::default()))
        .max_connections(1000)
        .stop_timeout(Duration::from_secs(10));
    let served = asyncio::finally(server, async || println!("every request was answered"));
    Ok(served.await)
}

fn router(store: Store) -> Router {
    Router::new()
        .route("/notes", get(list).post(add))
        .route("/notes/{id}", get(show).put(change).delete(remove))
        .route("/slow", get(slow))
        .route("/whoami", get(whoami))
        .with_state(store)
}

/// The notes. axum asks for a state that could be shared between threads.
#[derive(Clone, Default)]
struct Store {
    notes: Arc<Mutex<Notes>>,
}

#[derive(Default)]
struct Notes {
    by_id: BTreeMap<u64, String>,
    last_id: u64,
}

impl Store {
    /// No handler waits while it holds this.
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Deserialize)]
struct NewNote {
    text: String,
}

#[derive(Serialize)]
struct Note {
    id: u64,
    text: String,
}

async fn list(State(store): State<Store>) -> Json<Vec<Note>> {
    let notes = store.notes();
    let note = |(&id, text): (&u64, &String)| Note {
        id,
        text: text.clone(),
    };
    Json(notes.by_id.iter().map(note).collect())
}

async fn add(
    State(store): State<Store>,
    Json(NewNote { text }): Json<NewNote>,
) -> (StatusCode, Json<Note>) {
    let mut notes = store.notes();
    notes.last_id += 1;
    let id = notes.last_id;
    notes.by_id.insert(id, text.clone());
    (StatusCode::CREATED, Json(Note { id, text }))
}

async fn show(State(store): State<Store>, Path(id): Path<u64>) -> Result<Json<Note>, StatusCode> {
    let text = store.notes().by_id.get(&id).cloned();
    let text = text.ok_or(StatusCode::NOT_FOUND)?;
    Ok(Json(Note { id, text }))
}

async fn change(
    State(store): State<Store>,
    Path(id): Path<u64>,
    Json(NewNote { text }): Json<NewNote>,
) -> Result<Json<Note>, StatusCode> {
    let mut notes = store.notes();
    let place = notes.by_id.get_mut(&id).ok_or(StatusCode::NOT_FOUND)?;
    place.clone_from(&text);
    Ok(Json(Note { id, text }))
}

async fn remove(State(store): State<Store>, Path(id): Path<u64>) -> StatusCode {
    match store.notes().by_id.remove(&id) {
        Some(_) => StatusCode::NO_CONTENT,
        None => StatusCode::NOT_FOUND,
    }
}

/// A sleep stays on its loop's thread, and axum asks for futures that could be sent to another one.
async fn slow() -> &'static str {
    println!("a slow request has begun");
    local(asyncio::sleep(SLOW)).await;
    "slow, but done\n"
}

async fn whoami(Peer(address): Peer<std::net::SocketAddr>) -> String {
    format!("{}\n", address.ip())
}
