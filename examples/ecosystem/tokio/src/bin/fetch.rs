//! Fetches pages with reqwest, all at once: `fetch http://localhost:8000/ ..`.
//!
//! reqwest runs in tokio alone, so the whole program has a tokio context. Ctrl-C gives up what has not come yet, in an orderly way.

use std::process::ExitCode;

#[asyncio::main(tokio)]
async fn main() -> ExitCode {
    let client = reqwest::Client::new();
    let mut fetches = Vec::new();
    for url in std::env::args().skip(1) {
        let fetch = fetch(client.clone(), url.clone());
        fetches.push((url, asyncio::spawn(fetch)));
    }
    let mut status = ExitCode::SUCCESS;
    for (url, fetch) in fetches {
        match asyncio::finally(fetch, async || println!("done with {url}")).await {
            Ok(Ok(length)) => println!("{url}: {length} bytes"),
            Ok(Err(error)) => {
                eprintln!("{url}: {error}");
                status = ExitCode::FAILURE;
            }
            Err(error) => {
                eprintln!("{url}: {error}");
                status = ExitCode::FAILURE;
            }
        }
    }
    status
}

async fn fetch(client: reqwest::Client, url: String) -> reqwest::Result<usize> {
    let answer = client.get(url).send().await?.error_for_status()?;
    Ok(answer.bytes().await?.len())
}
