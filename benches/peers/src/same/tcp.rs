//! Workloads of TCP, written once. Each contestant includes this file, and gives it its own `block_on`, `spawn`, `join`,
//! `listen` and `accept`, and the four ways to serve a connection: `echo`, `echo_once`, `drain` and `pour`.

use std::io;

use super::{accept, block_on, drain, echo as serve_echo, echo_once, join, listen, pour, spawn};
use crate::same_work::Load;
use crate::tcp_clients::Client;
use crate::workloads::{Cost, Run, Workload};

pub(super) fn run(workload: Workload) -> Option<Run> {
    let run: Run = match workload {
        Workload::EchoOne => |requests| echo(1, 1, requests),
        Workload::EchoHundred => |requests| echo(100, 1, requests),
        Workload::EchoThousand => |requests| echo(1000, 1, requests),
        Workload::EchoPipelined => |requests| echo(100, 16, requests),
        Workload::EchoLoaded => echo_loaded,
        Workload::Accept => accepting,
        Workload::BulkIn => bulk_in,
        Workload::BulkOut => bulk_out,
        _ => return None,
    };
    Some(run)
}

/// Runs a server to its end.
fn serving(server: impl Future<Output = io::Result<Client>>) -> Cost {
    block_on(server).expect("the server failed").cost()
}

fn echo(connections: usize, depth: usize, requests: usize) -> Cost {
    serving(async move {
        let (listener, address) = listen().await?;
        let client = Client::echo(address, connections, depth, requests);
        let mut tasks = Vec::new();
        for _ in 0..connections {
            let stream = accept(&listener).await?;
            tasks.push(spawn(serve_echo(stream)));
        }
        for task in tasks {
            join(task).await?;
        }
        Ok(client)
    })
}

fn echo_loaded(requests: usize) -> Cost {
    serving(async move {
        let (listener, address) = listen().await?;
        let client = Client::timed_echo(address, requests);
        let stream = accept(&listener).await?;
        Load::begin();
        let load: Vec<_> = (0..Load::TASKS).map(|_| spawn(Load)).collect();
        join(spawn(serve_echo(stream))).await?;
        Load::lift();
        for task in load {
            join(task).await;
        }
        Ok(client)
    })
}

fn accepting(times: usize) -> Cost {
    serving(async move {
        let (listener, address) = listen().await?;
        let client = Client::connecting(address, times);
        for _ in 0..times {
            let stream = accept(&listener).await?;
            join(spawn(echo_once(stream))).await?;
        }
        Ok(client)
    })
}

fn bulk_in(mebibytes: usize) -> Cost {
    serving(async move {
        let (listener, address) = listen().await?;
        let client = Client::sending(address, mebibytes);
        let stream = accept(&listener).await?;
        assert_eq!(join(spawn(drain(stream))).await?, mebibytes << 20);
        Ok(client)
    })
}

fn bulk_out(mebibytes: usize) -> Cost {
    serving(async move {
        let (listener, address) = listen().await?;
        let client = Client::receiving(address, mebibytes);
        let stream = accept(&listener).await?;
        join(spawn(pour(stream, mebibytes << 20))).await?;
        Ok(client)
    })
}
