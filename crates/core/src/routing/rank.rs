//! The order in which regions are tried from each region: by tier, then by distance.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};

use super::compile::{Refusal, Tables};
use super::config::RoutingControl;
use crate::health::{State, View};
use crate::id::RegionSlot;

/// How good a region is, before distance counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// On and healthy.
    Healthy,
    /// On, not yet probed: used only where no healthy region is.
    Unknown,
    /// On, but down: used only where nothing better is ("all unhealthy is all healthy", Route 53).
    FailOpen,
    /// Switched off by an operator: last of all.
    Off,
}

impl Tier {
    /// Whether traffic goes there without failing open.
    #[must_use]
    pub const fn is_usable(self) -> bool {
        matches!(self, Self::Healthy | Self::Unknown)
    }

    fn of(control: RoutingControl, state: State) -> Self {
        match (control, state) {
            (RoutingControl::Off, _) => Self::Off,
            (RoutingControl::On, State::Healthy) => Self::Healthy,
            (RoutingControl::On, State::Unknown) => Self::Unknown,
            (RoutingControl::On, State::Unhealthy | State::Ejected) => Self::FailOpen,
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Healthy => "healthy",
            Self::Unknown => "not yet probed",
            Self::FailOpen => "failing open",
            Self::Off => "switched off",
        })
    }
}

/// Which configuration and which health a snapshot was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Generation {
    /// [`super::RoutingConfig::generation`].
    pub config: u64,
    /// [`View::generation`]; begins again with each life of the process.
    pub health: u64,
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.config, self.health)
    }
}

/// A region as seen from another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ranked {
    pub(crate) tier: Tier,
    /// Round trip, ms; `u32::MAX` if it is not known.
    pub(crate) rtt_ms: u32,
    pub(crate) region: RegionSlot,
}

/// Configuration and health at one generation; never changes.
#[derive(Clone, Debug)]
pub struct RoutingSnapshot {
    pub(crate) tables: Arc<Tables>,
    generation: Generation,
    /// By the index of the near region: all regions, best first.
    order: Vec<Vec<Ranked>>,
    /// By the index of the region.
    states: Vec<Standing>,
}

#[derive(Clone, Copy, Debug)]
struct Standing {
    state: State,
    tier: Tier,
    falls: u64,
}

impl Tables {
    /// These tables under `health`; `previous` is the generation that readers have now.
    ///
    /// # Errors
    /// [`Refusal::GenerationBackwards`] if either part of the generation would fall.
    pub fn snapshot(
        self: &Arc<Self>,
        health: &View,
        previous: Option<Generation>,
    ) -> Result<RoutingSnapshot, Refusal> {
        let generation = Generation { config: self.config_generation, health: health.generation };
        if let Some(from) = previous
            && (generation.config < from.config || generation.health < from.health)
        {
            return Err(Refusal::GenerationBackwards { from, to: generation });
        }
        let states: Vec<Standing> = (0..RegionSlot::COUNT)
            .filter_map(RegionSlot::new)
            .take(self.region_count)
            .map(|slot| self.standing(slot, health))
            .collect();
        let order = self.rtt_ms.iter().map(|row| self.ranked(row, &states)).collect();
        Ok(RoutingSnapshot { tables: Arc::clone(self), generation, order, states })
    }

    fn standing(&self, slot: RegionSlot, health: &View) -> Standing {
        let state = health.state(slot);
        let control = self.region(slot).map_or(RoutingControl::Off, |r| r.control);
        Standing { state, tier: Tier::of(control, state), falls: health.falls(slot) }
    }

    fn ranked(&self, rtt_ms: &[u32], states: &[Standing]) -> Vec<Ranked> {
        let rank = |slot: RegionSlot| Ranked {
            tier: states[slot.index()].tier,
            rtt_ms: rtt_ms[slot.index()],
            region: slot,
        };
        let mut order: Vec<Ranked> = self.regions.iter().map(|r| rank(r.slot)).collect();
        order.sort_unstable();
        order
    }
}

impl RoutingSnapshot {
    /// What this was made of.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// The tables that this was made of, to make the next snapshot.
    #[must_use]
    pub const fn tables(&self) -> &Arc<Tables> {
        &self.tables
    }

    /// How good `region` is; `Off` if it is not configured.
    #[must_use]
    pub fn tier(&self, region: RegionSlot) -> Tier {
        self.states.get(region.index()).map_or(Tier::Off, |s| s.tier)
    }

    /// What is believed of `region`.
    #[must_use]
    pub fn state(&self, region: RegionSlot) -> State {
        self.states.get(region.index()).map_or(State::Unknown, |s| s.state)
    }

    /// How often `region` went down so far.
    #[must_use]
    pub fn falls(&self, region: RegionSlot) -> u64 {
        self.states.get(region.index()).map_or(0, |s| s.falls)
    }

    /// The region's name, or its slot if it is not configured.
    pub(crate) fn region_name(&self, region: RegionSlot) -> String {
        let mut name = String::new();
        match self.tables.region(region) {
            Some(known) => name.push_str(&known.name),
            None => write!(name, "{region}").unwrap_or_default(),
        }
        name
    }

    /// All regions as seen from `near`, best first.
    pub(crate) fn order(&self, near: RegionSlot) -> &[Ranked] {
        self.order.get(near.index()).map_or(&[], Vec::as_slice)
    }

    /// One line per candidate, best first, for `explain`.
    pub(crate) fn explain_order(
        &self,
        near: RegionSlot,
        is_candidate: impl Fn(RegionSlot) -> bool,
    ) -> String {
        let mut text = String::new();
        for ranked in self.order(near).iter().filter(|r| is_candidate(r.region)) {
            let name = self.region_name(ranked.region);
            let state = self.state(ranked.region);
            let _ = write!(text, "\n  {name}: {state}, {}", Distance(ranked.rtt_ms));
            if ranked.tier == Tier::Off {
                text.push_str(", switched off");
            }
        }
        text
    }
}

/// A round trip in words.
pub(crate) struct Distance(pub(crate) u32);

impl fmt::Display for Distance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            u32::MAX => f.write_str("distance unknown"),
            ms => write!(f, "{ms} ms away"),
        }
    }
}
