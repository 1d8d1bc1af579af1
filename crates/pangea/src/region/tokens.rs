//! `ClientRequestToken`s: a transaction that is sent again is answered again and not done again.
//!
//! In memory, and of this region alone: a restart forgets them, and another region never knew.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pangea_core::node::Outcome;

/// How long an answer is kept (DynamoDB).
const KEPT: Duration = Duration::from_mins(10);
/// Tokens that are kept: at a hundred bytes and eight for each item, a few MB. The oldest go first.
const TOKENS_MAX: usize = 1 << 16;

/// A number that tells requests apart.
pub(super) type Digest = [u8; 32];

/// What is known of the tokens of the last minutes.
#[derive(Debug, Default)]
pub(super) struct Tokens(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    by_token: HashMap<String, Entry>,
    /// Tokens in the order in which they came.
    order: BTreeMap<u64, String>,
    next: u64,
}

#[derive(Debug)]
struct Entry {
    place: u64,
    began: Instant,
    digest: Digest,
    /// `None` while it is being done.
    outcome: Option<Outcome>,
}

/// A request that is to be done; it is to be given back with its outcome.
#[derive(Debug)]
pub(super) struct Ticket {
    token: String,
    place: u64,
}

/// What becomes of a request with a token.
#[derive(Debug)]
pub(super) enum Begun {
    /// Nobody has asked before.
    First(Ticket),
    /// It was done, and came to this.
    Again(Outcome),
    /// It is being done.
    InProgress,
    /// The token belongs to another request.
    Mismatch,
}

impl Tokens {
    /// Takes a token for the request of this digest.
    pub(super) fn begin(&self, token: String, digest: Digest, now: Instant) -> Begun {
        let mut known = self.known();
        known.forget(now, TOKENS_MAX);
        if let Some(entry) = known.by_token.get(&token) {
            return match &entry.outcome {
                _ if entry.digest != digest => Begun::Mismatch,
                Some(outcome) => Begun::Again(outcome.clone()),
                None => Begun::InProgress,
            };
        }
        known.forget(now, TOKENS_MAX - 1);
        let place = known.next;
        known.next += 1;
        known.order.insert(place, token.clone());
        let entry = Entry { place, began: now, digest, outcome: None };
        known.by_token.insert(token.clone(), entry);
        Begun::First(Ticket { token, place })
    }

    /// Whether the request of this digest was done by this token, or is being done.
    pub(super) fn knows(&self, token: &str, digest: Digest, now: Instant) -> bool {
        let mut known = self.known();
        known.forget(now, TOKENS_MAX);
        known.by_token.get(token).is_some_and(|entry| entry.digest == digest)
    }

    /// Keeps what the request came to; `None` if nothing was done, so that it may be tried again.
    pub(super) fn finish(&self, ticket: &Ticket, outcome: Option<Outcome>) {
        let mut known = self.known();
        // It may have been forgotten meanwhile, and begun again.
        let Some(entry) = known.by_token.get_mut(&ticket.token) else { return };
        if entry.place != ticket.place {
            return;
        }
        if outcome.is_some() {
            entry.outcome = outcome;
        } else {
            known.by_token.remove(&ticket.token);
            known.order.remove(&ticket.place);
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Forgets what is too old, and the oldest of more than `most`.
    fn forget(&mut self, now: Instant, most: usize) {
        while let Some(oldest) = self.order.first_entry() {
            let began = self.by_token.get(oldest.get()).map(|entry| entry.began);
            let old = began.is_none_or(|began| now.saturating_duration_since(began) >= KEPT);
            if !old && self.by_token.len() <= most {
                return;
            }
            self.by_token.remove(&oldest.remove());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Digest = [1; 32];
    const OTHER: Digest = [2; 32];

    fn done() -> Option<Outcome> {
        Some(Outcome::Transacted { stamp: None, bytes: vec![1], indexed: Vec::new() })
    }

    fn first(tokens: &Tokens, token: &str, now: Instant) -> Ticket {
        match tokens.begin(token.to_string(), ONE, now) {
            Begun::First(ticket) => ticket,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request_is_done_once_in_ten_minutes() {
        let (tokens, now) = (Tokens::default(), Instant::now());
        let ticket = first(&tokens, "t", now);
        let begin = |digest, now| tokens.begin("t".to_string(), digest, now);
        assert!(matches!(begin(ONE, now), Begun::InProgress));
        assert!(tokens.knows("t", ONE, now) && !tokens.knows("t", OTHER, now));
        tokens.finish(&ticket, done());
        let later = now + KEPT.saturating_sub(Duration::from_millis(1));
        assert!(matches!(begin(ONE, later), Begun::Again(Outcome::Transacted { .. })));
        assert!(matches!(begin(OTHER, later), Begun::Mismatch));
        assert!(tokens.knows("t", ONE, later) && !tokens.knows("t", ONE, now + KEPT));
        assert!(matches!(begin(OTHER, now + KEPT), Begun::First(_)));
        // The first request's outcome is no longer anybody's.
        tokens.finish(&ticket, done());
        assert!(matches!(begin(OTHER, now + KEPT), Begun::InProgress));
    }

    #[test]
    fn what_was_not_done_may_be_tried_again() {
        let (tokens, now) = (Tokens::default(), Instant::now());
        let ticket = first(&tokens, "t", now);
        tokens.finish(&ticket, None);
        let ticket = first(&tokens, "t", now);
        tokens.finish(&ticket, done());
        assert!(matches!(tokens.begin("t".to_string(), ONE, now), Begun::Again(_)));
    }

    #[test]
    fn the_oldest_go_where_there_are_too_many() {
        let (tokens, now) = (Tokens::default(), Instant::now());
        for n in 0..=TOKENS_MAX {
            let ticket = first(&tokens, &n.to_string(), now);
            tokens.finish(&ticket, done());
        }
        assert_eq!(tokens.known().by_token.len(), TOKENS_MAX);
        assert_eq!(tokens.known().order.len(), TOKENS_MAX);
        assert!(matches!(tokens.begin("1".to_string(), ONE, now), Begun::Again(_)));
        first(&tokens, "0", now);
    }
}
