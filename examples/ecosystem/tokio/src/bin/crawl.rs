//! A crawler: follows the links of a site, a few pages at once, and reports those that are broken.
//!
//! reqwest fetches, in the tokio context that the whole program has, and indicatif shows how far it is. Only the start's own site
//! is visited: the same scheme, host and port.
//!
//! What you learn here: a queue whose workers find their own work, and who knows when all is done; a limit of time for each page;
//! a report that is printed whether the crawl has come to its end or was interrupted.
//!
//! ```text
//! cargo run --manifest-path examples/ecosystem/tokio/Cargo.toml --bin crawl -- --depth 2 --pages 50 --at-once 4 http://localhost:8000/
//! ```

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::env;
use std::error::Error;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use asyncio::sync::Queue;
use asyncio::{TaskGroup, TaskGroupError, timeout};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Url};

/// How long a page may take to come.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much of a page is searched for links.
const LARGEST: usize = 1 << 20;

const USAGE: &str = "usage: crawl [--depth N] [--pages N] [--at-once N] URL";

#[asyncio::main(tokio, terminate)]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let (mut depth, mut pages, mut at_once) = (3, 1000, 8);
    let mut start = None;
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().ok_or(USAGE)?.parse().map_err(|_| USAGE);
        match argument.as_str() {
            "--depth" => depth = number()?,
            "--pages" => pages = number()?,
            "--at-once" => at_once = number()?.max(1),
            _ => start = Some(Url::parse(&argument)?),
        }
    }
    let crawler = Rc::new(Crawler::new(start.ok_or(USAGE)?, depth, pages)?);
    // Also when it is interrupted.
    let crawled = asyncio::finally(crawler.crawl(at_once), async || crawler.report());
    crawled.await?;
    let is_good = crawler.broken.borrow().is_empty();
    Ok(if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What all workers share. The loop has one thread, so plain cells do.
struct Crawler {
    client: Client,
    start: Url,
    /// How many links a page may be away from the start.
    depth: usize,
    /// How many pages may be visited.
    pages: usize,
    waiting: Queue<Page>,
    /// Everything that was ever put into the queue.
    known: RefCell<HashSet<Url>>,
    visited: Cell<usize>,
    broken: RefCell<Vec<String>>,
    bar: ProgressBar,
}

/// A page that is to be visited.
struct Page {
    url: Url,
    depth: usize,
    /// The first page with a link to it.
    found_on: Option<Url>,
}

impl Crawler {
    fn new(start: Url, depth: usize, pages: usize) -> Result<Crawler, Box<dyn Error>> {
        // Draws nothing where stderr is no terminal.
        let style = ProgressStyle::with_template("{bar:40} {pos} of {len} pages: {msg}")?;
        Ok(Crawler {
            client: Client::builder().build()?,
            start,
            depth,
            pages,
            waiting: Queue::unbounded(),
            known: RefCell::default(),
            visited: Cell::new(0),
            broken: RefCell::default(),
            bar: ProgressBar::new(0).with_style(style),
        })
    }

    /// Visits the start, and what can be reached from there.
    async fn crawl(self: &Rc<Self>, at_once: usize) -> Result<(), TaskGroupError> {
        self.add(self.start.clone(), 0, None);
        TaskGroup::scope(async |group| {
            for _ in 0..at_once {
                group.spawn(self.clone().work());
            }
            // An empty queue is not the end: a page that is being visited may have links. This waits for both.
            self.waiting.join().await;
            self.waiting.shutdown(false);
        })
        .await
    }

    /// Visits one page after another, until the queue is shut down.
    async fn work(self: Rc<Self>) {
        while let Ok(page) = self.waiting.get().await {
            self.bar.set_message(page.url.path().to_owned());
            self.visit(&page).await;
            self.visited.set(self.visited.get() + 1);
            self.bar.inc(1);
            self.waiting.task_done();
        }
    }

    async fn visit(&self, page: &Page) {
        let why = match timeout(PATIENCE, self.fetch(page)).await {
            Ok(Ok(links)) => {
                for link in links {
                    self.add(link, page.depth + 1, Some(&page.url));
                }
                return;
            }
            Ok(Err(error)) => explain(&error),
            Err(_too_long) => format!("no answer in {PATIENCE:?}"),
        };
        let found_on = page.found_on.as_ref();
        let found_on = found_on.map_or(String::new(), |url| format!(", found on {url}"));
        let line = format!("{}: {why}{found_on}", page.url);
        self.broken.borrow_mut().push(line);
    }

    /// Returns the links of the page, if it has any that are to be followed.
    async fn fetch(&self, page: &Page) -> reqwest::Result<Vec<Url>> {
        let answer = self.client.get(page.url.clone()).send().await?;
        let mut answer = answer.error_for_status()?;
        // It may lead elsewhere.
        let url = answer.url().clone();
        let kind = answer.headers().get(CONTENT_TYPE);
        let is_html = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
        let mut bytes = Vec::new();
        if is_html && page.depth < self.depth && self.is_here(&url) {
            while let Some(piece) = answer.chunk().await? {
                bytes.extend_from_slice(&piece);
                if bytes.len() >= LARGEST {
                    break;
                }
            }
        }
        let links = links(&String::from_utf8_lossy(&bytes));
        let links = links.iter().filter_map(|link| url.join(link).ok());
        Ok(links.collect())
    }

    /// Puts a page into the queue, unless it is known, or somewhere else, or one too many.
    fn add(&self, mut url: Url, depth: usize, found_on: Option<&Url>) {
        url.set_fragment(None);
        let mut known = self.known.borrow_mut();
        if !self.is_here(&url) || known.len() == self.pages || !known.insert(url.clone()) {
            return;
        }
        self.bar.set_length(known.len() as u64);
        let page = Page {
            url,
            depth,
            found_on: found_on.cloned(),
        };
        let put = self.waiting.put_nowait(page);
        assert!(
            put.is_ok(),
            "the queue has no limit, and is open while anybody works"
        );
    }

    fn is_here(&self, url: &Url) -> bool {
        url.origin() == self.start.origin()
    }

    fn report(&self) {
        self.bar.finish_and_clear();
        let (known, visited) = (self.known.borrow().len(), self.visited.get());
        let broken = self.broken.borrow();
        for line in broken.iter() {
            println!("broken: {line}");
        }
        let (count, left) = (broken.len(), known - visited);
        println!("{visited} pages visited, {count} broken, {left} not visited");
    }
}

/// The values of attributes `href`. A crawler that comments and scripts must not fool takes a parser of HTML.
fn links(page: &str) -> Vec<String> {
    const NAME: &str = "href";
    let lower = page.to_ascii_lowercase();
    let value = |(at, _): (usize, &str)| {
        let rest = page[at + NAME.len()..].trim_start().strip_prefix('=')?;
        let rest = rest.trim_start();
        let quote = rest.chars().next().filter(|char| "\"'".contains(*char));
        let value = match quote {
            Some(quote) => rest[1..].split(quote).next(),
            None => rest.split([' ', '\t', '\r', '\n', '>']).next(),
        };
        value.map(|value| value.trim().replace("&amp;", "&"))
    };
    lower.match_indices(NAME).filter_map(value).collect()
}

/// The status, or what is at the bottom of the error.
fn explain(error: &reqwest::Error) -> String {
    if let Some(status) = error.status() {
        return status.to_string();
    }
    let mut cause: &dyn Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
