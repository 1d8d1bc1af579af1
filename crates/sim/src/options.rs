//! What a run is told, and what its seed decides: every seed has its own mix of faults, because a
//! run with all of them at once hides what a few of them alone would show (swarm testing).

use pangea_core::limits::{FEED_ROWS_MAX, STAGE_BYTES_MAX};
use pangea_core::node::Collect;

use crate::rng::Rng;
use crate::scenario::{Scenario, Setting};
use crate::shrink::Trim;
use crate::ttl::Ttl;

/// What the caller decides; everything else is the seed's.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Regions of the world, 2 to 5; `None` leaves it to the seed.
    pub regions: Option<usize>,
    /// Lines of a failing run's timeline to keep, the last ones; `None` for what fits a few
    /// screens.
    pub timeline_max: Option<usize>,
    /// What the schedule is left without: see [`crate::shrink()`].
    pub trim: Trim,
    /// What every seed shall do much of, to test the tester; nothing is the seed's own choice.
    pub focus: Option<Focus>,
    /// How long schedules are.
    pub length: Length,
    /// What happens, if that is written down: the seed decides how long messages take.
    pub scenario: Option<Scenario>,
    /// A bug to plant in every region.
    #[cfg(feature = "planted-bugs")]
    pub bug: Option<pangea_core::node::Bug>,
}

impl Options {
    /// The bug that is planted; empty for none.
    #[cfg(feature = "planted-bugs")]
    pub(crate) fn bug_name(&self) -> String {
        self.bug.map(|bug| format!("{bug:?}")).unwrap_or_default()
    }

    /// The twin with planted bugs reads the options.
    #[cfg(not(feature = "planted-bugs"))]
    #[expect(clippy::unused_self, reason = "the twin with planted bugs reads the options")]
    pub(crate) fn bug_name(&self) -> String {
        String::new()
    }
}

/// See [`Options::length`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Length {
    /// As the seed draws it: 6 to 36 client operations, and faults as long as they last.
    #[default]
    Drawn,
    /// So many per cent of these operations, at least one.
    Percent(u64),
    /// Ten to a hundred per cent of them, by the seed: mostly few.
    Mixed,
}

/// See [`Options::focus`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Focus {
    /// Deletes are collected; else in one seed of four.
    Collection,
    /// The same, and replicas come and go while writes are under way.
    Joining,
    /// Anti-entropy runs all the time, and rows rot; else in one seed of five or four.
    Repair,
    /// Tables are in groups, and transactions are many; else in one seed of five.
    Groups,
    /// Deletes are collected, regions die for good, and operators give them up and take them back;
    /// without this or the next two none does.
    Lifecycle,
    /// The same, of tables in groups.
    Evictions,
    /// As in the lifecycle, and most regions are given up and come back while replicas come and go,
    /// and links die with what is passed on.
    Returns,
    /// Items expire, and in one seed of four a region is suspended; else they do in three seeds of
    /// twenty.
    Expiry,
    /// Items have vectors, and tables an index of them; no others do. Their policy is one under
    /// which an item is what one client put, because the specification of merged items knows no
    /// lists.
    Vectors,
}

impl Focus {
    /// Every one with its word on command lines.
    pub const ALL: [(&'static str, Self); 9] = [
        ("collection", Self::Collection),
        ("joining", Self::Joining),
        ("repair", Self::Repair),
        ("groups", Self::Groups),
        ("lifecycle", Self::Lifecycle),
        ("evictions", Self::Evictions),
        ("returns", Self::Returns),
        ("expiry", Self::Expiry),
        ("vectors", Self::Vectors),
    ];

    /// The one of that word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| *name == word).map(|(_, focus)| *focus)
    }
}

impl Options {
    /// Whether regions come and go.
    pub(crate) fn has_lifecycle(&self) -> bool {
        self.scenario.is_some()
            || matches!(self.focus, Some(Focus::Lifecycle | Focus::Evictions | Focus::Returns))
    }
}

/// What a seed decides before the run.
#[derive(Clone, Debug)]
pub(crate) struct Swarm {
    pub(crate) regions: usize,
    /// Tables that are made before the faults start, and keys of each.
    pub(crate) tables: usize,
    pub(crate) keys: u64,
    /// Rows that the first table has from the start; more than one frame's in a few seeds.
    pub(crate) bulk: u64,
    /// Index entries of one frame.
    pub(crate) frame_rows: usize,
    /// Whether tables have their replicas before the faults start.
    pub(crate) warm: bool,
    /// Whether these were made before, in regions that were then restarted.
    pub(crate) warmed: bool,
    /// Client operations, and the mean time between them.
    pub(crate) operations: u64,
    pub(crate) gap_us: u64,
    /// Per mille of operations that several regions do to one key at one instant.
    pub(crate) burst: u64,
    /// Per mille of operations that change the catalog.
    pub(crate) churn: u64,
    /// Merge policy of the tables at first.
    pub(crate) policy: String,
    /// Conflicts of an item in a minute that have a ledger row each.
    pub(crate) ledger_per_minute: u32,
    /// Per mille of operations that change a table's merge policy.
    pub(crate) switches: u64,
    /// Per mille of operations that give a table an index, or take it away.
    pub(crate) indexes: u64,
    /// Items have vectors, and tables an index of them.
    pub(crate) vectors: bool,
    /// Per mille of operations that are transactions.
    pub(crate) transactions: u64,
    /// Per mille of writes to items that only the first regions may have.
    pub(crate) restricted: u64,
    /// Tables have a rule of placement, whether or not it is about anything.
    pub(crate) placed: bool,
    /// Per mille of writes that change parts of an item.
    pub(crate) updates: u64,
    /// Per mille of writes that carry a condition.
    pub(crate) conditions: u64,
    /// Clients that carry a session from region to region.
    pub(crate) sessions: usize,
    /// Per mille of writes that wait for more regions than their own.
    pub(crate) wide: u64,
    pub(crate) net: NetFaults,
    /// Slowest ordinary sync.
    pub(crate) sync_us: u64,
    /// How much later than asked the driver's timers come.
    pub(crate) timer_late_us: u64,
    /// Mean time between faults; `None` for a run without.
    pub(crate) fault_gap_us: u64,
    pub(crate) crashes: bool,
    pub(crate) splits: bool,
    pub(crate) resets: bool,
    pub(crate) clock_steps: bool,
    pub(crate) slow_disks: bool,
    /// Greatest clock offset at the start.
    pub(crate) skew_us: u64,
    /// Whether regions hear each other's clocks.
    pub(crate) heartbeats: bool,
    /// How regions collect what was deleted, if they do, and one that is slow to.
    pub(crate) collect: Option<Collect>,
    pub(crate) collects_late: Option<usize>,
    /// Per mille of writes that delete, and of operations after which clients pause.
    pub(crate) deletes: u64,
    pub(crate) pause: u64,
    /// Whether tables begin with one replica, and others are left to the churn.
    pub(crate) one_replica: bool,
    /// Mean time between runs of anti-entropy while things break; `None` for none.
    pub(crate) repair_gap_us: Option<u64>,
    /// Whether a row rots once everything is at rest.
    pub(crate) rots: bool,
    /// How long a region is out of reach before others are asked for its rows.
    pub(crate) relay_after_ms: u64,
    /// Per mille of the time of operations after which one region dies for good, if one does.
    pub(crate) doom: Option<u64>,
    /// Regions that operators give up, alive or dead, one after the other or at once.
    pub(crate) evictions: u64,
    /// Tables that are made before the faults start are in one group.
    pub(crate) grouped: bool,
    /// Bytes that may wait to be shown.
    pub(crate) stage_bytes_max: usize,
    /// Two of the regions cannot reach each other until the faults end.
    pub(crate) severed: bool,
    /// How items expire, if they do.
    pub(crate) ttl: Option<Ttl>,
    /// Per mille of frames of other regions' rows with which their connection dies.
    pub(crate) relay_resets: u64,
}

/// What a network may do to a message, per mille.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NetFaults {
    pub(crate) delay_us: (u64, u64),
    pub(crate) loss: u64,
    pub(crate) duplication: u64,
    pub(crate) reordering: u64,
    /// Messages of a dead connection that arrive all the same.
    pub(crate) late: u64,
    /// Time that one frame occupies its link.
    pub(crate) send_us: u64,
}

impl NetFaults {
    /// A network that does what it should.
    pub(crate) const NONE: Self = Self {
        delay_us: (500, 1_500),
        loss: 0,
        duplication: 0,
        reordering: 0,
        late: 0,
        send_us: 0,
    };
}

impl Swarm {
    pub(crate) fn new(rng: &mut Rng, options: &Options) -> Self {
        match &options.scenario {
            Some(scenario) => Self::directed(scenario),
            None => Self::draw(rng, options),
        }
    }

    fn draw(rng: &mut Rng, options: &Options) -> Self {
        let regions = rng.pick(&[2, 2, 3, 3, 3, 3, 3, 3, 4, 5]);
        let regions = options.regions.unwrap_or(regions).clamp(2, 5);
        let mut more = rng.fork("sessions");
        let mut swarm = Self {
            regions,
            tables: rng.pick(&[1, 1, 1, 2, 2, 3]),
            keys: rng.pick(&[1, 1, 2, 3, 6]),
            bulk: if rng.chance(1) { rng.range(500, 1100) } else { 0 },
            frame_rows: more.pick(&[FEED_ROWS_MAX, FEED_ROWS_MAX, FEED_ROWS_MAX, 3]),
            warm: rng.chance(800),
            warmed: rng.fork("warmed").chance(800),
            operations: rng.range(6, 36),
            gap_us: rng.pick(&[500, 2_000, 5_000, 15_000]),
            burst: rng.pick(&[0, 100, 400]),
            churn: rng.pick(&[0, 0, 50, 250]),
            policy: rng
                .pick(&["lww", "lww", "lww", "siblings", "crdt", "crdt", "owner"])
                .to_string(),
            restricted: rng.pick(&[0, 0, 0, 300]),
            placed: true,
            updates: rng.pick(&[0, 300, 800]),
            ledger_per_minute: rng.pick(&[60, 60, 0, 1, 3]),
            switches: rng.pick(&[0, 0, 60, 200]),
            transactions: rng.pick(&[0, 0, 200]),
            conditions: rng.pick(&[0, 0, 300]),
            sessions: more.pick(&[0, 0, 1, 3]),
            wide: more.pick(&[0, 0, 300, 1000]),
            indexes: more.pick(&[0, 0, 0, 150]),
            vectors: false,
            net: draw_net(rng),
            sync_us: rng.pick(&[0, 1_000, 5_000, 20_000]),
            timer_late_us: rng.pick(&[0, 0, 10_000, 40_000]),
            fault_gap_us: rng.pick(&[10_000, 30_000, 100_000]),
            crashes: rng.chance(600),
            splits: rng.chance(500),
            resets: rng.chance(400),
            clock_steps: rng.chance(400),
            slow_disks: rng.chance(300),
            skew_us: rng.pick(&[0, 0, 2_000, 100_000, 1_000_000, 120_000_000]),
            heartbeats: false,
            relay_after_ms: rng.pick(&[20, 60, 1_000]),
            doom: None,
            evictions: 0,
            severed: rng.chance(100) && regions > 2,
            relay_resets: 0,
            grouped: false,
            stage_bytes_max: STAGE_BYTES_MAX,
            collect: None,
            collects_late: None,
            deletes: 200,
            pause: 0,
            one_replica: false,
            repair_gap_us: None,
            rots: false,
            ttl: None,
        };
        swarm.draw_parts(rng, options);
        swarm.draw_length(&mut rng.fork("length"), options.length);
        swarm.draw_ttl(&mut rng.fork("ttl"), options);
        swarm.draw_vectors(&mut rng.fork("vectors"), options);
        swarm.draw_placed(&mut rng.fork("placed"), options);
        if options.has_lifecycle() {
            // What heals a row, or what a session has seen, may be with a region that is gone.
            (swarm.rots, swarm.repair_gap_us) = (false, None);
            swarm.sessions = 0;
        }
        options.trim.apply(&mut swarm);
        swarm
    }

    fn draw_length(&mut self, rng: &mut Rng, length: Length) {
        let percent = match length {
            Length::Drawn => return,
            Length::Percent(percent) => percent,
            Length::Mixed => rng.pick(&[10, 10, 20, 20, 20, 30, 30, 50, 100, 100]),
        };
        self.operations = (self.operations * percent / 100).max(1);
    }

    /// Regions compare fingerprints only of tables without a rule.
    fn draw_placed(&mut self, rng: &mut Rng, options: &Options) {
        let unplaced = matches!(options.focus, None | Some(Focus::Repair)) && !rng.chance(300);
        self.placed = self.restricted > 0 || !unplaced;
    }

    fn draw_vectors(&mut self, rng: &mut Rng, options: &Options) {
        if options.focus == Some(Focus::Vectors) {
            (self.vectors, self.switches) = (true, 0);
            self.policy = rng.pick(&["lww", "lww", "siblings", "owner"]).to_string();
            self.indexes = rng.pick(&[0, 100, 300]);
        }
    }

    fn draw_ttl(&mut self, rng: &mut Rng, options: &Options) {
        let chosen = rng.chance(150) | (options.focus == Some(Focus::Expiry));
        let busy_us = self.operations * self.gap_us;
        self.ttl = chosen.then(|| Ttl::draw(rng, busy_us));
        if let (Some(ttl), Some(Focus::Expiry)) = (&mut self.ttl, options.focus) {
            ttl.suspends = rng.chance(250);
        }
    }

    /// Which parts of the machines a seed is about.
    fn draw_parts(&mut self, rng: &mut Rng, options: &Options) {
        self.heartbeats = (self.clock_steps || self.skew_us > 0) && rng.chance(300);
        if options.has_lifecycle() && self.regions > 2 {
            self.evictions = if rng.chance(600) { rng.range(1, 3) } else { 0 };
            self.doom = rng.chance(100).then(|| rng.range(0, 600));
        }
        if options.focus == Some(Focus::Returns) {
            self.draw_returns(&mut rng.fork("returns"));
        }
        if options.focus == Some(Focus::Joining) {
            (self.regions, self.tables, self.keys) = (3, 1, 6);
            (self.warm, self.churn, self.net.delay_us) = (true, 200, (1_000, 60_000));
            (self.operations, self.gap_us) = (36, 10_000);
            (self.doom, self.severed) = (None, false);
        }
        let collects = options.has_lifecycle()
            || matches!(options.focus, Some(Focus::Collection | Focus::Joining));
        if rng.chance(250) | collects {
            self.collect = Some(Collect {
                interval_us: rng.pick(&[1_000, 5_000, 20_000]),
                cold_after_ms: rng.pick(&[0, 0, 600_000]),
            });
            let late = rng.index(self.regions);
            self.collects_late = rng.chance(500).then_some(late);
            self.deletes = rng.pick(&[200, 500]);
            self.pause = rng.pick(&[0, 50, 150]);
            self.one_replica = rng.chance(200) | (options.focus == Some(Focus::Joining));
        }
        let repairs = options.focus == Some(Focus::Repair);
        self.repair_gap_us = (rng.chance(200) | repairs).then(|| rng.pick(&[10_000, 60_000]));
        self.rots = rng.chance(250) | repairs;
        self.draw_groups(&mut rng.fork("groups"), options);
        if rng.fork("functions").chance(80) {
            self.policy = "wasm".to_string();
        }
        #[cfg(feature = "planted-bugs")]
        if let Some(pangea_core::node::Bug::Crdt(bug)) = options.bug {
            // Clients of sessions only put.
            (self.policy, self.sessions) = (format!("crdt bug={bug:?}"), 0);
        }
    }

    fn draw_returns(&mut self, rng: &mut Rng) {
        (self.regions, self.doom) = (self.regions.max(3), None);
        self.evictions = rng.range(2, 5);
        self.churn = rng.pick(&[20, 100, 250]);
        self.relay_resets = rng.pick(&[0, 100, 400]);
        self.gap_us = self.gap_us.max(rng.pick(&[5_000, 15_000, 40_000]));
    }

    fn draw_groups(&mut self, rng: &mut Rng, options: &Options) {
        let groups = options.focus == Some(Focus::Groups);
        let chosen = rng.chance(200);
        self.grouped = match options.focus {
            Some(Focus::Lifecycle | Focus::Returns) => false,
            Some(Focus::Groups | Focus::Evictions) => true,
            _ => chosen,
        };
        if !self.grouped {
            return;
        }
        self.stage_bytes_max = rng.pick(&[STAGE_BYTES_MAX, STAGE_BYTES_MAX, 1_000]);
        if groups {
            self.tables = self.tables.max(2);
            self.transactions = self.transactions.max(rng.pick(&[200, 400]));
            self.keys = self.keys.max(3);
            self.frame_rows = rng.pick(&[2, 3, self.frame_rows]);
            if rng.chance(250) {
                // Replicas are taken away whose regions' word counts, while rows wait in them.
                (self.churn, self.wide, self.one_replica) = (250, 1_000, false);
                self.severed = self.regions > 2;
            }
        }
    }

    /// Nothing breaks, all clocks are right, and nothing goes on beside the making of tables.
    pub(crate) fn quiet(options: &Options) -> Self {
        let drawn = Self::draw(&mut Rng::new(0), options);
        Self {
            bulk: 0,
            frame_rows: FEED_ROWS_MAX,
            sync_us: 1_000,
            timer_late_us: 0,
            skew_us: 0,
            heartbeats: false,
            sessions: 0,
            wide: 0,
            ttl: None,
            collect: None,
            collects_late: None,
            ledger_per_minute: 60,
            grouped: false,
            stage_bytes_max: STAGE_BYTES_MAX,
            relay_after_ms: 1_000,
            ..drawn
        }
    }

    /// A world in which nothing happens but what a scenario says.
    fn directed(scenario: &Scenario) -> Self {
        let setting = |setting, default| scenario.setting(setting).unwrap_or(default);
        let regions = Some(scenario.regions());
        let quiet = Self::quiet(&Options { regions, ..Options::default() });
        let delay_us = setting(Setting::DelayUs, 1_000);
        let collect = scenario.setting(Setting::CollectUs).map(|interval_us| Collect {
            interval_us,
            cold_after_ms: setting(Setting::ColdAfterMs, 600_000),
        });
        let ttl = scenario.setting(Setting::GraceMs).map(Ttl::directed);
        Self {
            tables: 0,
            warm: false,
            policy: if setting(Setting::Owners, 0) > 0 { "owner" } else { "lww" }.to_string(),
            placed: setting(Setting::Placed, 1) > 0,
            frame_rows: setting(Setting::FrameRows, FEED_ROWS_MAX as u64) as usize,
            sync_us: setting(Setting::SyncUs, 1_000),
            relay_after_ms: setting(Setting::RelayAfterMs, 20),
            net: NetFaults {
                delay_us: (delay_us, delay_us + setting(Setting::JitterUs, 1_000)),
                send_us: setting(Setting::SendUs, 0),
                ..NetFaults::NONE
            },
            collect,
            ttl,
            rots: false,
            repair_gap_us: None,
            severed: false,
            vectors: false,
            ..quiet
        }
    }

    /// How far right clocks are ahead of those of other seeds.
    pub(crate) fn phase_us(&self) -> i64 {
        self.ttl.as_ref().map_or(0, |ttl| ttl.phase_us)
    }

    pub(crate) fn has_faults(&self) -> bool {
        self.crashes || self.splits || self.resets || self.clock_steps || self.slow_disks
    }
}

fn draw_net(rng: &mut Rng) -> NetFaults {
    let fast = rng.pick(&[500, 2_000, 20_000]);
    let slow = fast + rng.pick(&[0, 1_000, 10_000, 100_000]);
    NetFaults {
        delay_us: (fast, slow),
        loss: rng.pick(&[0, 0, 20, 150]),
        duplication: rng.pick(&[0, 0, 50, 200]),
        reordering: rng.pick(&[0, 0, 100, 300]),
        late: rng.pick(&[0, 300]),
        send_us: rng.pick(&[0, 0, 3_000, 20_000]),
    }
}
