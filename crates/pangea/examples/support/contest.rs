//! Servers under the same load in turn, so that a ratio is of one run on one machine.

use std::net::SocketAddr;

use super::load::{Kind, Load, Measured};
use super::process::{Process, Server};
use super::{figure, median, progress};

/// One of those that are compared.
#[derive(Clone, Copy)]
pub(crate) struct Contender<'a> {
    pub(crate) name: &'a str,
    address: SocketAddr,
    /// Whose CPU counts.
    process: Option<&'a Process>,
}

impl<'a> Contender<'a> {
    pub(crate) fn new(name: &'a str, server: &'a Server) -> Self {
        Self { name, address: server.address, process: Some(&server.process) }
    }

    /// One whose CPU is not counted.
    pub(crate) fn at(name: &'a str, address: SocketAddr) -> Self {
        Self { name, address, process: None }
    }

    fn measure(&self, contest: Contest, seconds: f64) -> anyhow::Result<Round> {
        let Contest { kind, connections, .. } = contest;
        let cpu_us = || self.process.map_or(Ok(f64::NAN), Process::cpu_us);
        let before = cpu_us()?;
        let measured = Load { kind, address: self.address, connections, seconds }.run()?;
        Ok(Round { measured, cpu_us: (cpu_us()? - before) / measured.requests })
    }
}

/// One measurement of one of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    pub(crate) measured: Measured,
    /// CPU of the server for each request, microseconds.
    pub(crate) cpu_us: f64,
}

/// What all of them are asked, and how often.
#[derive(Clone, Copy)]
pub(crate) struct Contest {
    pub(crate) kind: Kind,
    pub(crate) connections: usize,
    pub(crate) rounds: usize,
    pub(crate) seconds: f64,
}

impl Contest {
    /// Rounds of all, each first in its turn, behind one that warms up; in the order given.
    pub(crate) fn run(self, contenders: &[Contender<'_>]) -> anyhow::Result<Vec<Vec<Round>>> {
        for contender in contenders {
            contender.measure(self, self.seconds / 5.0)?;
        }
        let mut rounds = vec![Vec::new(); contenders.len()];
        for round in 0..self.rounds {
            for turn in 0..contenders.len() {
                let at = (round + turn) % contenders.len();
                rounds[at].push(contenders[at].measure(self, self.seconds)?);
            }
            let said = contenders.iter().zip(&rounds).map(|(contender, rounds)| {
                let Round { measured: it, cpu_us } = rounds[round];
                let cpu = contender.process.map(|_| format!(", {cpu_us:.1} us CPU"));
                let (name, cpu) = (contender.name, cpu.unwrap_or_default());
                format!("{name} {:.0}/s in {:.2} ms{cpu}", it.per_s, it.p50_ms)
            });
            let said: Vec<String> = said.collect();
            progress(&format!("{:?}, round {}: {}", self.kind, round + 1, said.join("; ")));
        }
        Ok(rounds)
    }
}

/// The median of a figure of the rounds.
pub(crate) fn of(rounds: &[Round], pick: fn(&Round) -> f64) -> f64 {
    median(rounds.iter().map(pick).collect())
}

/// The median of how many times the second's figure the first's is, round by round.
pub(crate) fn ratio(ours: &[Round], theirs: &[Round], pick: fn(&Round) -> f64) -> f64 {
    median(ours.iter().zip(theirs).map(|(us, it)| pick(us) / pick(it)).collect())
}

/// Requests a second.
pub(crate) fn per_s(round: &Round) -> f64 {
    round.measured.per_s
}

/// What the figures of one should be: requests per second, p50 ms, CPU us.
#[derive(Clone, Copy)]
pub(crate) struct Hypothesis {
    pub(crate) per_s: &'static str,
    pub(crate) p50: &'static str,
    pub(crate) cpu: &'static str,
}

/// Prints the figures of one.
pub(crate) fn report(name: &str, rounds: &[Round], expected: Hypothesis) {
    figure(name, of(rounds, per_s), "req/s", expected.per_s);
    figure(&format!("{name}, p50"), of(rounds, |it| it.measured.p50_ms), "ms", expected.p50);
    figure(&format!("{name}, p99"), of(rounds, |it| it.measured.p99_ms), "ms", "2 to 3 p50");
    figure(&format!("{name}, server CPU"), of(rounds, |it| it.cpu_us), "us/req", expected.cpu);
}
