//! reqwest against a server of this loop's own: two libraries, one loop, and tokio only for the one that needs it.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use asyncio::axum::{OnThread, local, serve};
use asyncio::net::TcpListener;
use asyncio::sync::Event;
use asyncio::tokio_compat;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

/// A server in a task, and what it tells.
struct Server {
    address: SocketAddr,
    /// A slow request has begun.
    begun: Rc<Event>,
    /// It was dropped, as its client has gone.
    gone: Rc<Event>,
}

impl Server {
    async fn start() -> Server {
        let (begun, gone) = (Rc::new(Event::new()), Rc::new(Event::new()));
        let events = Arc::new(OnThread::new((begun.clone(), gone.clone())));
        let slow = async move || {
            let (begun, gone) = events.with(|events| events.clone()).unwrap();
            local(async move {
                begun.set();
                let waiting = asyncio::sleep(Duration::MAX);
                let _guard = SetOnDrop(gone);
                waiting.await;
            })
            .await;
        };
        let router = Router::new()
            .route("/", get(async || "hello"))
            .route(
                "/double",
                post(async |Json(numbers): Json<Vec<i64>>| {
                    Json(numbers.iter().map(|number| number * 2).collect::<Vec<_>>())
                }),
            )
            .route("/slow", get(slow));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = serve(listener, router).stop_timeout(Duration::from_secs(1));
        drop(asyncio::spawn(async { serving.await }));
        Server {
            address,
            begun,
            gone,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

struct SetOnDrop(Rc<Event>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.set();
    }
}

async fn text(url: String) -> reqwest::Result<String> {
    reqwest::get(url).await?.text().await
}

#[asyncio::test(timeout = "20s")]
async fn a_page_is_fetched() {
    let server = Server::start().await;
    let page = tokio_compat(text(server.url("/"))).await;
    assert_eq!(page.unwrap(), "hello");
}

#[asyncio::test(timeout = "20s")]
async fn json_is_posted_and_answered_again_and_again_on_one_connection() {
    let server = Server::start().await;
    tokio_compat(async {
        let client = reqwest::Client::new();
        for number in 0..100 {
            let numbers = json!([number, number + 1]);
            let request = client.post(server.url("/double")).json(&numbers);
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), 200);
            let doubled: Value = answer.json().await.unwrap();
            assert_eq!(doubled, json!([2 * number, 2 * number + 2]));
        }
        let request = client
            .post(server.url("/double"))
            .json(&json!("no numbers"));
        assert_eq!(request.send().await.unwrap().status(), 422);
    })
    .await;
}

#[asyncio::test(tokio, timeout = "20s")]
async fn many_tasks_fetch_at_once() {
    let server = Server::start().await;
    let client = reqwest::Client::new();
    let fetches: Vec<_> = (0..50)
        .map(|_| {
            let request = client.get(server.url("/"));
            asyncio::spawn(async { request.send().await?.text().await })
        })
        .collect();
    for fetch in fetches {
        assert_eq!(fetch.await.unwrap().unwrap(), "hello");
    }
}

#[asyncio::test(timeout = "20s")]
async fn a_handler_may_ask_another_server_as_a_future_in_a_context_can_be_sent() {
    let inner = Server::start().await;
    let url = inner.url("/");
    let router = Router::new().route(
        "/",
        get(async || tokio_compat(text(url)).await.unwrap().to_uppercase()),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(asyncio::spawn(async { serve(listener, router).await }));
    let page = tokio_compat(text(format!("http://{address}/"))).await;
    assert_eq!(page.unwrap(), "HELLO");
}

#[asyncio::test(timeout = "20s")]
async fn a_cancelled_request_lets_go_of_its_connection() {
    let server = Server::start().await;
    let fetch = asyncio::spawn(tokio_compat(text(server.url("/slow"))));
    server.begun.wait().await;
    fetch.cancel();
    assert!(fetch.await.unwrap_err().is_cancelled());
    server.gone.wait().await;
}

#[asyncio::test(timeout = "20s")]
async fn both_clocks_bound_a_request() {
    let server = Server::start().await;
    let short = Duration::from_millis(50);
    let fetch = tokio_compat(text(server.url("/slow")));
    assert!(asyncio::timeout(short, fetch).await.is_err());
    let url = server.url("/slow");
    let fetch = tokio_compat(async {
        let client = reqwest::Client::new();
        client.get(url).timeout(short).send().await
    });
    assert!(fetch.await.unwrap_err().is_timeout());
}

#[asyncio::test(timeout = "20s")]
async fn a_server_that_is_not_there_is_an_error() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let fetch = tokio_compat(text(format!("http://{address}/")));
    assert!(fetch.await.unwrap_err().is_connect());
}
