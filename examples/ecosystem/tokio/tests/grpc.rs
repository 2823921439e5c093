//! tonic, both sides: one question with one answer, one with many, and a conversation. Messages are prost's by derive, and the
//! service is written by hand, so that no schema has to be compiled.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use asyncio::{Runner, tokio_compat};
use futures_lite::{Stream, StreamExt as _, stream};
use tonic::body::Body;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::{NamedService, ServerStreamingService, StreamingService, UnaryService};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

/// Reached only by failing tests.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, PartialEq, prost::Message)]
struct Pair {
    #[prost(int64, tag = "1")]
    left: i64,
    #[prost(int64, tag = "2")]
    right: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Number {
    #[prost(int64, tag = "1")]
    value: i64,
}

// ----- the server -----

#[derive(Clone)]
struct Calculator;

impl NamedService for Calculator {
    const NAME: &'static str = "test.Calculator";
}

impl Service<http::Request<Body>> for Calculator {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let path = request.uri().path().to_owned();
            let mut numbers = tonic::server::Grpc::new(ProstCodec::<Number, Number>::default());
            Ok(match path.as_str() {
                "/test.Calculator/Divide" => {
                    let mut pairs = tonic::server::Grpc::new(ProstCodec::<Number, Pair>::default());
                    pairs.unary(Divide, request).await
                }
                "/test.Calculator/Count" => numbers.server_streaming(Count, request).await,
                "/test.Calculator/Sum" => numbers.streaming(Sum, request).await,
                _ => Status::unimplemented("").into_http(),
            })
        })
    }
}

type Answer<T> = BoxFuture<Response<T>, Status>;
type Numbers = Pin<Box<dyn Stream<Item = Result<Number, Status>> + Send>>;

struct Divide;

impl UnaryService<Pair> for Divide {
    type Response = Number;
    type Future = Answer<Number>;

    fn call(&mut self, request: Request<Pair>) -> Self::Future {
        Box::pin(async move {
            let Pair { left, right } = request.into_inner();
            match left.checked_div(right) {
                Some(value) => Ok(Response::new(Number { value })),
                None => Err(Status::invalid_argument("not by that")),
            }
        })
    }
}

/// Counts down, a millisecond for each number, and then waits for ever.
struct Count;

impl ServerStreamingService<Number> for Count {
    type Response = Number;
    type ResponseStream = Numbers;
    type Future = Answer<Numbers>;

    fn call(&mut self, request: Request<Number>) -> Self::Future {
        Box::pin(async move {
            let first = request.into_inner().value;
            let count = stream::unfold(first, async |value| {
                tokio::time::sleep(Duration::from_millis(1)).await;
                (value > 0).then_some((Ok(Number { value }), value - 1))
            });
            Ok(Response::new(
                Box::pin(count.chain(stream::pending())) as Numbers
            ))
        })
    }
}

/// Answers each number with the sum of all so far.
struct Sum;

impl StreamingService<Number> for Sum {
    type Response = Number;
    type ResponseStream = Numbers;
    type Future = Answer<Numbers>;

    fn call(&mut self, request: Request<Streaming<Number>>) -> Self::Future {
        Box::pin(async move {
            let sums = request.into_inner().scan(0, |sum, number| {
                Some(number.map(|Number { value }| {
                    *sum += value;
                    Number { value: *sum }
                }))
            });
            Ok(Response::new(Box::pin(sums) as Numbers))
        })
    }
}

/// Starts a server in a task of this loop.
fn start() -> (asyncio::Task<()>, SocketAddr) {
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = incoming.local_addr().unwrap();
    let server = asyncio::spawn(tokio_compat(async move {
        let serving = Server::builder()
            .add_service(Calculator)
            .serve_with_incoming(incoming);
        serving.await.unwrap();
    }));
    (server, address)
}

// ----- the client -----

struct Client {
    grpc: tonic::client::Grpc<Channel>,
}

impl Client {
    async fn connect(address: SocketAddr) -> Client {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        Client {
            grpc: tonic::client::Grpc::new(endpoint.connect().await.unwrap()),
        }
    }

    async fn divide(&mut self, left: i64, right: i64) -> Result<i64, Status> {
        self.grpc.ready().await.unwrap();
        let path = PathAndQuery::from_static("/test.Calculator/Divide");
        let codec = ProstCodec::<Pair, Number>::default();
        let request = Request::new(Pair { left, right });
        let answer = self.grpc.unary(request, path, codec).await?;
        Ok(answer.into_inner().value)
    }

    async fn count(&mut self, value: i64) -> Streaming<Number> {
        self.grpc.ready().await.unwrap();
        let path = PathAndQuery::from_static("/test.Calculator/Count");
        let codec = ProstCodec::<Number, Number>::default();
        let request = Request::new(Number { value });
        let answer = self.grpc.server_streaming(request, path, codec).await;
        answer.unwrap().into_inner()
    }

    async fn sum(
        &mut self,
        numbers: impl Stream<Item = Number> + Send + 'static,
    ) -> Streaming<Number> {
        self.grpc.ready().await.unwrap();
        let path = PathAndQuery::from_static("/test.Calculator/Sum");
        let codec = ProstCodec::<Number, Number>::default();
        let answer = self
            .grpc
            .streaming(Request::new(numbers), path, codec)
            .await;
        answer.unwrap().into_inner()
    }
}

async fn values(numbers: impl Stream<Item = Result<Number, Status>>) -> Vec<i64> {
    numbers.map(|number| number.unwrap().value).collect().await
}

#[asyncio::test(tokio, timeout = "20s")]
async fn a_question_is_answered_or_refused() {
    let (_server, address) = start();
    let mut client = Client::connect(address).await;
    assert_eq!(client.divide(42, 6).await.unwrap(), 7);
    let status = client.divide(1, 0).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::InvalidArgument, "not by that")
    );
    assert_eq!(client.divide(-9, 3).await.unwrap(), -3);
}

#[asyncio::test(timeout = "20s")]
async fn without_the_option_a_client_needs_one_context_for_all_of_its_life() {
    let (_server, address) = tokio_compat(async { start() }).await;
    let answer = tokio_compat(async {
        let mut client = Client::connect(address).await;
        client.divide(42, 6).await
    });
    assert_eq!(answer.await.unwrap(), 7);
}

#[asyncio::test(tokio, timeout = "20s")]
async fn one_question_has_many_answers() {
    let (_server, address) = start();
    let mut client = Client::connect(address).await;
    let count = client.count(5).await;
    assert_eq!(values(count.take(5)).await, [5, 4, 3, 2, 1]);
    // The stream was left in the middle, and its connection still serves.
    assert_eq!(client.divide(4, 2).await.unwrap(), 2);
}

#[asyncio::test(tokio, timeout = "20s")]
async fn a_conversation_goes_both_ways() {
    let (_server, address) = start();
    let mut client = Client::connect(address).await;
    let (questions, asked) = tokio::sync::mpsc::channel(1);
    let asked = stream::unfold(asked, async |mut asked| {
        let value = asked.recv().await?;
        Some((Number { value }, asked))
    });
    let mut sums = client.sum(asked).await;
    for (number, expected) in [(1, 1), (10, 11), (100, 111)] {
        questions.send(number).await.unwrap();
        assert_eq!(sums.next().await.unwrap().unwrap().value, expected);
    }
    drop(questions);
    assert!(sums.next().await.is_none());
}

#[test]
fn a_server_and_its_clients_end_with_the_runner() {
    let runner = Runner::builder()
        .loop_setup(asyncio::tokio_context)
        .shutdown_timeout(PATIENCE)
        .build();
    let address = runner.run(async {
        let (server, address) = start();
        drop(server);
        let counting = asyncio::spawn(async move {
            let mut client = Client::connect(address).await;
            values(client.count(3).await).await
        });
        // Two of many that are under way.
        let mut client = Client::connect(address).await;
        assert_eq!(values(client.count(2).await.take(2)).await, [2, 1]);
        drop(counting);
        address
    });
    let report = runner.close().unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(report.cancelled().len(), 2);
    let refused = std::net::TcpStream::connect(address.unwrap()).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}
