//! A power loss at any moment: what was acknowledged is there, and nothing is half there.
//!
//! A child process works on a real store while strace writes down what it does to its files and what
//! it says. That sequence is cut at many places. For each cut the files are built as a disk may hold
//! them when it forgets what was not synced: all of it, or some names, lengths and sectors of it in
//! whatever order. The store is opened on them and looked at.
//!
//! `POWER_CUTS` is how many cuts there are, `POWER_SEED` chooses them and what is forgotten, and
//! `POWER_TRACE` names a recording, which a failure leaves behind, to be used instead of a new one.

mod disk;
mod trace;
mod work;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use matrix_smpp_codec::segment::{ReferenceWidth, split};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::IteratorRandom as _;
use rusqlite::types::ValueRef;

use self::disk::{Disk, Fate, Remains};
use self::trace::Event;
use super::*;
use crate::gateway::model::{E164Text, MessageState, SegmentRef};
use crate::store::base::Base as _;
use crate::store::{Outcome, ReceiptTaken};

const CHILD: &str = "store::tests::on_sqlite::power::work::the_child_works_and_says_what_is_done";
/// Where the store is, on its disk. The store makes the folder itself.
const FILE: &str = "data/gateway.db";
const CUTS: u64 = 90;
/// Paid in at once.
const CREDIT: i64 = 1_000_000;
/// What needs two segments.
const LONG: &str = "Whoever reads this to its end knows that it is longer than one segment of an SMS \
    can be, for the alphabet of GSM packs 160 letters into one segment, and 153 into each of several.";

/// What the child has said, by whom or what it is about: the last word of each.
type Words<'a> = BTreeMap<&'a str, &'a str>;

#[tokio::test]
async fn what_was_acknowledged_survives_a_power_loss_at_any_moment() {
    let seed = number_given("POWER_SEED", 1);
    let (recording, kept) = recording();
    let events = trace::read(&recording);
    let commits = commits(&events);
    let mut cuts = cuts(&events, seed).into_iter().peekable();
    let (mut disk, mut words) = (Disk::default(), Words::new());
    for at in 0..=events.len() {
        if cuts.next_if_eq(&at).is_some() {
            for (name, fate) in fates(seed, at) {
                let found = after_loss(disk.after_loss(fate), &words, &commits).await;
                if let Err(reason) = found {
                    let trace = kept.keep().join("trace");
                    let trace = trace.display();
                    panic!("POWER_TRACE={trace} POWER_SEED={seed}: {name} at {at}: {reason}");
                }
            }
        }
        if let Some(event) = events.get(at) {
            disk.apply(event);
            if let Event::Word(word) = event {
                let (kind, what) = word.split_once(' ').unwrap();
                words.insert(what, kind);
            }
        }
    }
    assert!(words.len() > 100, "{} words", words.len());
}

/// What the child did, and the folder where that is written.
fn recording() -> (String, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    if let Some(recorded) = std::env::var_os("POWER_TRACE") {
        fs::copy(recorded, &trace).unwrap();
    } else {
        let disk = folder.path().join(trace::DISK);
        fs::create_dir(&disk).unwrap();
        let child = trace::strace(&trace, &std::env::current_exe().unwrap())
            .args([CHILD, "--exact", "--nocapture", "--test-threads=1"])
            .env(work::STORE, disk.join(FILE))
            .output()
            .expect("strace is installed");
        let said = String::from_utf8_lossy(&child.stderr);
        assert!(child.status.success(), "{said}");
    }
    (fs::read_to_string(trace).unwrap(), folder)
}

/// Where to cut, in order: among the moments around every sync and acknowledgement, among those
/// where names and lengths change, and among the writes, as many of each.
fn cuts(events: &[Event], seed: u64) -> Vec<usize> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut kinds: [Vec<usize>; 3] = Default::default();
    for (at, event) in events.iter().enumerate() {
        match event {
            Event::Sync(_) | Event::Word(_) => kinds[0].extend([at, at + 1]),
            Event::Write { .. } => kinds[1].push(at + 1),
            _ => kinds[2].extend([at, at + 1]),
        }
    }
    let each = usize::try_from(number_given("POWER_CUTS", CUTS)).unwrap() / kinds.len();
    let chosen = kinds
        .into_iter()
        .flat_map(|places| places.into_iter().sample(&mut random, each));
    let mut cuts: Vec<usize> = chosen.collect();
    cuts.sort_unstable();
    cuts.dedup();
    cuts
}

fn fates(seed: u64, at: usize) -> [(&'static str, Fate); 2] {
    let mut random = StdRng::seed_from_u64(seed ^ (u64::try_from(at).unwrap() << 32));
    let chance = [5, 50, 95].into_iter().choose(&mut random).unwrap();
    [
        ("lost", Fate::Lost),
        ("torn", Fate::Torn(Box::new(random), chance)),
    ]
}

/// All that a store can hold between two commits, by fingerprint: looked at wherever something was
/// written since the last look and a log is synced, or something acknowledged without a sync.
fn commits(events: &[Event]) -> HashSet<u64> {
    let mut disk = Disk::default();
    let mut commits = HashSet::new();
    let mut written = false;
    for event in events {
        disk.apply(event);
        written |= matches!(event, Event::Write { .. });
        let ends = match event {
            Event::Sync(path) => path.to_str().unwrap().contains(".db.log-"),
            Event::Word(_) => written,
            _ => false,
        };
        if ends {
            written = false;
            let folder = build(disk.after_loss(Fate::Kept));
            let path = folder.path().join(FILE);
            // What is in the logs goes into the file.
            sqlite::Sqlite::open(&path).unwrap().close();
            commits.insert(fingerprint(&Connection::open(path).unwrap()));
        }
    }
    commits
}

fn build(remains: Remains) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, content) in remains {
        let path = root.path().join(path);
        match content {
            None => fs::create_dir(path).unwrap(),
            Some(content) => fs::write(path, content).unwrap(),
        }
    }
    root
}

/// Of every row of every table, except the store's name and how far its log is applied, which are
/// others in each new store and life of it.
fn fingerprint(connection: &Connection) -> u64 {
    let mut hasher = DefaultHasher::new();
    let tables = "SELECT name FROM sqlite_schema
        WHERE type = 'table' AND name NOT IN ('meta', 'applied')";
    let mut tables = connection.prepare(tables).unwrap();
    let tables = tables.query_map([], |row| row.get::<_, String>(0)).unwrap();
    for table in tables.map(Result::unwrap) {
        table.hash(&mut hasher);
        let mut rows = connection
            .prepare(&format!("SELECT * FROM \"{table}\""))
            .unwrap();
        let columns = rows.column_count();
        let mut rows = rows.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            for column in 0..columns {
                match row.get_ref(column).unwrap() {
                    ValueRef::Null => 0.hash(&mut hasher),
                    ValueRef::Integer(number) => number.hash(&mut hasher),
                    ValueRef::Text(octets) | ValueRef::Blob(octets) => octets.hash(&mut hasher),
                    ValueRef::Real(number) => number.to_bits().hash(&mut hasher),
                }
            }
        }
    }
    hasher.finish()
}

async fn after_loss(
    remains: Remains,
    words: &Words<'_>,
    commits: &HashSet<u64>,
) -> Result<(), String> {
    let root = build(remains);
    let path = root.path().join(FILE);
    let store: Arc<dyn Store> =
        TableStore::open_sqlite(&path, DAY).map_err(|error| error.to_string())?;
    let facts = Facts::of(&*store).await;
    for (what, kind) in words {
        if !facts.hold(kind, what).await {
            let reason = format!("{kind} {what} was acknowledged and is not there");
            return Err(reason);
        }
    }
    let audit = store.audit().await.unwrap();
    // What is in the logs goes into the file.
    drop(facts);
    drop(store);
    let connection = Connection::open(&path).unwrap();
    let intact = connection.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
    if intact.as_deref() != Ok("ok") {
        return Err(format!("the file is damaged: {intact:?}"));
    }
    if !audit.is_clean() {
        return Err(format!("the audit differs: {audit:?}"));
    }
    if !commits.contains(&fingerprint(&connection)) {
        return Err("something is half there: the store was never so between commits".to_owned());
    }
    Ok(())
}

/// What a store holds.
struct Facts<'a> {
    store: &'a dyn Store,
    events: HashSet<String>,
    sms: HashSet<String>,
}

impl<'a> Facts<'a> {
    async fn of(store: &'a dyn Store) -> Self {
        let events = store.pending_events(InboxSeq(0), 1_000).await.unwrap();
        let sms = store.pending_sms(SmsId(0), 1_000).await.unwrap();
        Self {
            store,
            events: events
                .into_iter()
                .map(|event| event.event_id.to_string())
                .collect(),
            sms: sms.into_iter().map(|sms| sms.text).collect(),
        }
    }

    /// True where the store knows what the child said.
    async fn hold(&self, kind: &str, what: &str) -> bool {
        match kind {
            "instance" => self.store.instance() == what,
            "paid" => {
                let (owner, amount) = what.split_once(' ').unwrap();
                let owner: OwnedUserId = owner.try_into().unwrap();
                let account = self.store.account(&owner).await.unwrap();
                account.top_ups.micros() >= amount.parse().unwrap()
            }
            "open" => {
                let id = ConversationId(what.parse().unwrap());
                let conversation = self.store.conversation(id).await.unwrap();
                conversation.is_some_and(|conversation| conversation.active)
            }
            "event" => self.events.contains(what),
            "done" => !self.events.contains(what),
            "sms" => self.sms.contains(what),
            _ => self.message_is(kind, what).await,
        }
    }

    async fn message_is(&self, state: &str, id: &str) -> bool {
        let state: MessageState = serde_json::from_value(state.into()).unwrap();
        let message = self.store.message(id.parse().unwrap()).await.unwrap();
        message.is_some_and(|message| message.state >= state)
    }
}
