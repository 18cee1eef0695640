//! Commands that ask or change the store: through the running gateway where there is one, else
//! directly.

use std::path::Path;

use clap::Subcommand;
use matrix_smpp_codec::e164::E164;
use matrix_smpp_codec::values::CommandStatus;
use matrix_smpp_config::{Engine, Money};
use ruma::OwnedUserId;

use super::{Failure, say, settings};
use super::{limits, submission};
use crate::clock::Clock;
use crate::gateway::model::{E164Text, Handset};
use crate::gateway::opt_out::Wish;
use crate::gateway::pools::PoolUse;
use crate::ops::admin::{self, AccountLine, Answer, AsideLine, LeaseLine, OptOutLine, Request};
use crate::store::{self, AsideId, History, Standing, Step};

/// `matrix-smpp credit …`
#[derive(Debug, Subcommand)]
pub(super) enum Credit {
    /// Pay into an account; a negative amount takes out.
    #[command(allow_negative_numbers = true)]
    TopUp {
        /// Whose, as a full Matrix ID.
        #[arg(value_parser = matrix_id)]
        owner: OwnedUserId,
        /// How much, in units of the currency.
        amount: Money,
        /// Makes the call safe to repeat: the same key pays once.
        #[arg(long)]
        key: Option<String>,
    },
    /// Show an account.
    Balance {
        /// Whose, as a full Matrix ID.
        #[arg(value_parser = matrix_id)]
        owner: OwnedUserId,
    },
    /// Set how far below zero a balance may go.
    Limit {
        /// Whose, as a full Matrix ID.
        #[arg(value_parser = matrix_id)]
        owner: OwnedUserId,
        /// How far, in units of the currency.
        limit: Money,
    },
    /// Show every account.
    List,
    /// Rebuild every account from the ledger and compare.
    Audit,
}

/// `matrix-smpp lease …`
#[derive(Debug, Subcommand)]
pub(super) enum Lease {
    /// Show every lease, active and cooling off.
    List,
    /// Show how full each pool is.
    Pools,
    /// Free a number for a handset at once, cooling-off included.
    Release {
        /// The VMN.
        number: E164,
        /// The handset.
        handset: String,
    },
    /// Give a number to a Matrix user: any handset may text it first.
    Dedicate {
        /// A VMN or a short code, digits only.
        number: String,
        /// Whose, as a full Matrix ID.
        #[arg(value_parser = matrix_id)]
        owner: OwnedUserId,
    },
    /// Take a dedicated number back.
    Undedicate {
        /// The number.
        number: String,
    },
    /// Show the numbers that were dedicated by this command.
    Dedicated,
}

/// `matrix-smpp opt-out …`
#[derive(Debug, Subcommand)]
pub(super) enum OptOut {
    /// Show the phones that want no more texts, and from which number.
    List,
    /// Have a phone texted no more, as if it had texted STOP.
    Add(About),
    /// Have it texted again, as if it had texted START.
    Remove(About),
}

/// A phone and our number.
#[derive(Debug, clap::Args)]
pub(super) struct About {
    /// The phone: its digits, country code first.
    phone: E164,
    /// A number of ours, digits only; all of them where it is left out.
    number: Option<String>,
}

impl About {
    fn wish(self, one: Wish, all: Wish) -> Request {
        Request::Heed {
            handset: Handset::Number(E164Text(self.phone)).key(),
            wish: if self.number.is_some() { one } else { all },
            number: self.number.unwrap_or_default(),
        }
    }
}

/// `matrix-smpp queue …`
#[derive(Debug, Clone, Copy, Subcommand)]
pub(super) enum Queue {
    /// Show what was set aside: id, age, what it is about, why. Ids begin with e for events of
    /// Matrix, s for texts of phones, o for what the homeserver should hear.
    List,
    /// Try one again, in its place.
    Retry {
        /// Its id.
        id: AsideId,
    },
    /// End one for good. What it has queued for phones and did not leave yet is refunded.
    Drop {
        /// Its id.
        id: AsideId,
    },
}

/// Reads a full Matrix ID.
fn matrix_id(typed: &str) -> Result<OwnedUserId, String> {
    let wrong = |_| "write a full Matrix ID, as in @alice:example.org".to_owned();
    typed.try_into().map_err(wrong)
}

pub(super) fn credit(config: &Path, credit: Credit) -> Result<(), Failure> {
    let request = match credit {
        Credit::TopUp { owner, amount, key } => {
            let key = key.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
            Request::TopUp {
                owner,
                micros: amount.micros(),
                key,
            }
        }
        Credit::Balance { owner } => Request::Account { owner },
        Credit::Limit { owner, limit } => Request::SetLimit {
            owner,
            micros: limit.micros(),
        },
        Credit::List => Request::Accounts,
        Credit::Audit => Request::Audit,
    };
    tell(config, request)
}

pub(super) fn lease(config: &Path, lease: Lease) -> Result<(), Failure> {
    let request = match lease {
        Lease::List => Request::Leases,
        Lease::Pools => Request::Pools,
        Lease::Release { number, handset } => Request::ReleaseLease {
            number: number.to_string(),
            handset,
        },
        Lease::Dedicate { number, owner } => Request::Dedicate { number, owner },
        Lease::Undedicate { number } => Request::Undedicate { number },
        Lease::Dedicated => Request::Dedicated,
    };
    tell(config, request)
}

pub(super) fn opt_out(config: &Path, opt_out: OptOut) -> Result<(), Failure> {
    let request = match opt_out {
        OptOut::List => Request::OptOuts,
        OptOut::Add(about) => about.wish(Wish::Stop, Wish::StopAll),
        OptOut::Remove(about) => about.wish(Wish::Start, Wish::StartAll),
    };
    tell(config, request)
}

pub(super) fn queue(config: &Path, queue: Queue) -> Result<(), Failure> {
    let request = match queue {
        Queue::List => Request::Queue,
        Queue::Retry { id } => Request::Retry { id: id.to_string() },
        Queue::Drop { id } => Request::Drop { id: id.to_string() },
    };
    tell(config, request)
}

pub(super) fn explain(config: &Path, id: String) -> Result<(), Failure> {
    tell(config, Request::Explain { id })
}

pub(super) fn tell(config: &Path, request: Request) -> Result<(), Failure> {
    let settings = settings(config)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let answer = runtime.block_on(async {
        if let Some(answer) = admin::ask(&settings.gateway.admin_socket, &request).await? {
            return Ok::<_, Failure>(answer);
        }
        if settings.store.engine == Engine::Sqlite {
            belongs_to_us(&settings.store.path)?;
        }
        // A gateway that says nothing for so long has died.
        let patience = Some(settings.store.redis.takeover_after);
        let store = store::open(&settings, patience, Standing::default())?;
        Ok(admin::answer(&*store, &settings.routing, &Clock::system(), request).await)
    })?;
    print(answer, &settings.gateway.currency)
}

/// Refuses to open a store that its service could not open any more, because this user's files
/// would be in it. Where the system does not tell who we are, nothing is refused.
pub(super) fn belongs_to_us(store: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(we) = std::fs::metadata("/proc/self") else {
        return Ok(());
    };
    let folders = store.ancestors().skip(1);
    let known = std::iter::once(store).chain(folders);
    let Some((at, found)) = known
        .take_while(|path| !path.as_os_str().is_empty())
        .find_map(|path| Some((path, std::fs::metadata(path).ok()?)))
    else {
        return Ok(());
    };
    let missing = at != store && Some(at) != store.parent();
    let why = match misfit(at, found.uid(), we.uid()) {
        None if missing && we.uid() == 0 => Some(format!(
            "the folder of {} is not there yet, and root would own it. Start the service once, or \
             run this command as its user",
            store.display()
        )),
        why => why,
    };
    why.map_or(Ok(()), |why| Err(Failure::new(why)))
}

/// What is wrong where `at` belongs to one user and another one would write there.
fn misfit(at: &Path, owner: u32, we: u32) -> Option<String> {
    (owner != we).then(|| {
        format!(
            "{} belongs to user {owner}, and files of user {we} there would keep the service from \
             opening its store. Run this command as that user, e.g. `setpriv --reuid={owner} \
             --clear-groups matrix-smpp …`, or while the service runs",
            at.display()
        )
    })
}

fn print(answer: Answer, currency: &str) -> Result<(), Failure> {
    let text = match answer {
        Answer::Failed(why) => return Err(Failure::new(why)),
        Answer::Done => "done".to_owned(),
        Answer::Accounts(accounts) => lines(&accounts, "no accounts", |account| {
            account_line(account, currency)
        }),
        Answer::Audit(differences) if differences.is_empty() => {
            "every account agrees with the ledger".to_owned()
        }
        Answer::Audit(differences) => return Err(Failure::new(differences.join("\n"))),
        Answer::Leases(leases) => lines(&leases, "no leases", lease_line),
        Answer::Pools(pools) => lines(&pools, "no pools", pool_line),
        Answer::Dedicated(numbers) => lines(&numbers, "no numbers", |(number, owner)| {
            format!("{number}  {owner}")
        }),
        Answer::OptOuts(phones) => lines(&phones, "no phone has opted out", opt_out_line),
        Answer::Histories(histories) if histories.is_empty() => {
            return Err(Failure::new(
                "no message and nothing that an account submitted has this id, and no message came from this event",
            ));
        }
        Answer::Histories(histories) => lines(&histories, "", history),
        Answer::Submissions(submissions) => lines(&submissions, "", submission::history),
        Answer::Limits(hit) => lines(&hit, "no limit refuses anything", |hit| {
            limits::line(hit, currency)
        }),
        Answer::Queue(aside) => lines(&aside, "nothing was set aside", aside_line),
    };
    say(&text);
    Ok(())
}

/// One line for each item, or the words for none.
fn lines<T>(items: &[T], none: &str, line: impl Fn(&T) -> String) -> String {
    if items.is_empty() {
        return none.to_owned();
    }
    items.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn account_line(account: &AccountLine, currency: &str) -> String {
    let AccountLine {
        owner,
        balance,
        reserved,
        settled,
        top_ups,
        limit,
    } = account;
    format!(
        "{owner}  balance {balance} {currency}  reserved {reserved}  spent {settled}  \
         paid in {top_ups}  limit {limit}"
    )
}

fn lease_line(lease: &LeaseLine) -> String {
    let line = format!(
        "{}  for {}  conversation {}",
        lease.number, lease.handset, lease.conversation
    );
    match lease.cooling_until {
        Some(until) => format!("{line}  cooling off until {}", admin::utc(until)),
        None => line,
    }
}

fn opt_out_line(line: &OptOutLine) -> String {
    let from = line.number.as_deref().unwrap_or("any number");
    let holder = line.holder.as_ref();
    let holder = holder.map_or_else(String::new, |holder| format!(" and from {holder}"));
    let at = admin::utc(line.at);
    format!(
        "{}  wants no texts from {from}{holder}  since {at}",
        line.handset
    )
}

fn pool_line(pool: &PoolUse) -> String {
    format!(
        "{}  {} numbers  {} leased  {} cooling off  at most {} by one phone, {} left for it  \
         {} phones have none left",
        pool.name,
        pool.numbers,
        pool.active,
        pool.cooling,
        pool.most_used,
        pool.free(),
        pool.full
    )
}

fn aside_line(aside: &AsideLine) -> String {
    let AsideLine {
        id,
        age,
        about,
        reason,
    } = aside;
    let (hours, minutes) = (age / 3_600, age / 60 % 60);
    format!("{id}  {hours}h{minutes:02}m ago  {about}  {reason}")
}

fn history(history: &History) -> String {
    let head = format!(
        "message {} {}: {} on route {}, {} each, paid by {}{}",
        history.message,
        admin::word(history.state),
        segments(history.segments),
        history.route,
        history.price,
        history.payer,
        if history.possible_duplicate {
            "; the phone may have it twice"
        } else {
            ""
        }
    );
    let steps = history.steps.iter().map(step);
    std::iter::once(head)
        .chain(steps)
        .collect::<Vec<_>>()
        .join("\n")
}

fn segments(count: impl Into<u64>) -> String {
    match count.into() {
        1 => "1 segment".to_owned(),
        count => format!("{count} segments"),
    }
}

fn step(step: &Step) -> String {
    let segment = step
        .segment
        .map_or_else(String::new, |index| format!(" segment {index}"));
    let (at, state) = (admin::utc(step.at), admin::word(step.state));
    format!("  {at}{segment} {state} {}", with_name(&step.detail))
}

/// A detail that ends in a `command_status`, with the name of that status where it has one.
fn with_name(detail: &str) -> String {
    let status = detail
        .rsplit_once("0x")
        .and_then(|(_, digits)| u32::from_str_radix(digits, 16).ok());
    match status.and_then(|status| CommandStatus(status).name()) {
        Some(name) => format!("{detail} ({name})"),
        None => detail.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_who_is_no_matrix_id_is_told_how_one_looks() {
        for typed in ["alice", "@alice", "alice:example.org", ""] {
            let wrong = matrix_id(typed).expect_err(typed);
            assert!(wrong.contains("@alice:example.org"), "{wrong}");
        }
        assert!(matrix_id("@alice:example.org").is_ok());
    }

    #[test]
    fn a_store_of_another_user_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        assert!(belongs_to_us(&folder.path().join("gateway.db")).is_ok());
        assert_eq!(misfit(Path::new("/data"), 7, 7), None);
        let why = misfit(Path::new("/data"), 7, 0).unwrap();
        assert!(why.contains("/data") && why.contains("--reuid=7"), "{why}");
    }

    #[test]
    fn an_accounts_line_shows_its_limit() {
        let money = |micros| Money::from_micros(micros).unwrap();
        let account = AccountLine {
            owner: OwnedUserId::try_from("@alice:example.org").unwrap(),
            balance: money(1_000_000),
            reserved: money(0),
            settled: money(0),
            top_ups: money(1_000_000),
            limit: money(7_000_000),
        };
        let line = account_line(&account, "EUR");
        let limit = format!("limit {}", account.limit);
        assert!(line.ends_with(&limit), "{line}");
    }

    #[test]
    fn a_status_in_a_history_has_its_name() {
        assert_eq!(
            with_name("temporary error 0x00000008"),
            "temporary error 0x00000008 (ESME_RSYSERR)"
        );
        for nameless in ["status 0x00000400", "message id 2331334610", "accepted", ""] {
            assert_eq!(with_name(nameless), nameless);
        }
    }
}
