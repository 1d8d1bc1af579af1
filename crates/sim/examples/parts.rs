//! Parts of schedules that show a planted bug which no whole schedule shows.
//!
//! `cargo run --release -p pangea-sim --features planted-bugs --example parts --
//! FIRST SEEDS PARTS FOCUS BUG,BUG,..` runs each seed with and without each bug. A seed that the
//! bug changes at all comes near to it; so random parts of such a schedule are tried, as many as
//! `PARTS`, with the bug. What fails then and holds without the bug is printed as the spans and
//! knobs that are left out.

use std::io::Write;

use mimalloc::MiMalloc;
use pangea_core::node::Bug;
use pangea_sim::{Focus, Options, PLANTED, Trim, run};

/// As in the binary.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |nth: usize| arguments.get(nth).and_then(|word| word.parse::<u64>().ok());
    let (first, seeds, parts) =
        (number(0).unwrap_or(1), number(1).unwrap_or(100), number(2).unwrap_or(100));
    let focus = arguments.get(3).and_then(|word| Focus::named(word));
    let names = arguments.get(4).map_or("", String::as_str);
    let named = |bug: &&Bug| names.split(',').any(|name| name == format!("{bug:?}"));
    let bugs: Vec<Bug> = PLANTED.iter().filter(named).copied().collect();
    let mut out = std::io::stdout().lock();
    let options = Options { focus, timeline_max: Some(1), ..Options::default() };
    let mut near = vec![(0, 0, 0); bugs.len()];
    for seed in first..first + seeds {
        let sound = run(seed, &options);
        for (bug, near) in bugs.iter().zip(&mut near) {
            let planted = Options { bug: Some(*bug), ..options.clone() };
            let with = run(seed, &planted);
            if let Some(violation) = &with.violation {
                near.1 += 1;
                writeln!(out, "{bug:?} {seed} whole: {}: {}", violation.invariant, violation.text)?;
                out.flush()?;
                continue;
            }
            if with.digest == sound.digest {
                continue;
            }
            near.0 += 1;
            let whole = (sound.counts.operations, sound.counts.faults);
            for nth in 0..parts {
                let trim = Trim::part((seed, nth), whole);
                let part = run(seed, &Options { trim: trim.clone(), ..planted.clone() });
                let Some(violation) = part.violation else { continue };
                let sound = run(seed, &Options { trim: trim.clone(), ..options.clone() });
                let kind = match &sound.violation {
                    None => "part",
                    Some(_) => "BREAKS WITHOUT",
                };
                near.2 += 1;
                let text = sound.violation.map_or(violation.text, |it| it.text);
                writeln!(out, "{bug:?} {seed} {kind} {trim}: {}: {text}", violation.invariant)?;
                out.flush()?;
                break;
            }
        }
    }
    for (bug, (near, whole, part)) in bugs.iter().zip(near) {
        writeln!(out, "{bug:?}: changes {near} of {seeds}, {whole} fail whole, {part} in part")?;
    }
    Ok(())
}
