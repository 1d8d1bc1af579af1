//! A small web shop on DynamoDB. It knows a region, an endpoint URL and four tables.

mod api;
mod catalog;
mod config;
mod http;
mod model;
mod store;
mod tables;

use std::future::Future;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::api::App;
use crate::config::{Command, Config};
use crate::store::Store;

#[tokio::main]
async fn main() -> ExitCode {
    let result = match config::parse(std::env::args().skip(1), |name| std::env::var(name).ok()) {
        Ok(Command::Serve(config)) => Box::pin(run(*config)).await,
        Ok(Command::Help) => print(config::HELP),
        Ok(Command::Version) => print(concat!("pangea-shop ", env!("CARGO_PKG_VERSION"))),
        Err(message) => {
            eprintln!("shop: {message} (--help tells more)");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("shop: {message}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "what was asked for belongs on standard output")]
fn print(text: &str) -> Result<(), String> {
    println!("{text}");
    Ok(())
}

/// Serves from the first moment, so that /health can say what the shop is waiting for.
async fn run(config: Config) -> Result<(), String> {
    let stop = stopped()?;
    let listener = TcpListener::bind(config.listen).await;
    let listener = listener.map_err(|error| format!("{}: {error}", config.listen))?;
    let client = store::client(&config);
    let app = Arc::new(App::new(Store::new(client.clone()), &config.region));
    eprintln!("shop: {} serves on http://{}", config.region, config.listen);
    let serving = http::serve(listener, Arc::clone(&app), stop);
    let preparing = async {
        let waiting = |why: String| {
            eprintln!("shop: waiting: {why}");
            app.set_not_ready(Some(why));
        };
        if let Err(why) = tables::ensure(&client, &config, waiting).await {
            return why;
        }
        app.set_not_ready(None);
        eprintln!("shop: {} is ready", config.region);
        std::future::pending().await
    };
    tokio::select! {
        () = serving => Ok(()),
        why = preparing => Err(why),
    }
}

/// Ends when the process is told to: SIGTERM or ctrl-c.
fn stopped() -> Result<impl Future<Output = ()>, String> {
    let told = |error: std::io::Error| format!("signals: {error}");
    let mut terminate = signal(SignalKind::terminate()).map_err(told)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(told)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
