//! `pangea process`: the processes of the `up` that runs a data directory.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{Context, NO, Output, out, screen};
use crate::supervise::client::{Client, Error, ProcessInfo};

#[derive(Debug, Subcommand)]
pub(super) enum ProcessCommand {
    /// List them with their state
    List,
    /// Start one that does not run
    Start(Name),
    /// Stop one in order, and keep it down
    Stop(Name),
    /// Kill one with SIGKILL, and keep it down
    Kill(Name),
}

#[derive(Debug, Args)]
pub(super) struct Name {
    /// Its name, as listed: for example "region us-east-1"
    #[arg(value_name = "NAME", num_args = 1..=3, required = true)]
    words: Vec<String>,
}

pub(super) fn run(context: &Context, command: &ProcessCommand) -> anyhow::Result<ExitCode> {
    let client = Client::new(&context.data_dir);
    let one = |info: ProcessInfo| vec![info];
    let answer = match command {
        ProcessCommand::List => client.list(),
        ProcessCommand::Start(name) => client.start(&name.words.join(" ")).map(one),
        ProcessCommand::Stop(name) => client.stop(&name.words.join(" ")).map(one),
        ProcessCommand::Kill(name) => client.kill(&name.words.join(" ")).map(one),
    };
    let processes = match answer {
        Ok(processes) => processes,
        Err(Error::Refused(why)) => {
            out::note(&format!("refused: {why}"));
            return Ok(ExitCode::from(NO));
        }
        Err(error) => return Err(error.into()),
    };
    match context.output {
        Output::Json => out::json(&processes)?,
        Output::Table => screen::print_processes(&processes),
    }
    Ok(ExitCode::SUCCESS)
}
