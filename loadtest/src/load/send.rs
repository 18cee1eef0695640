//! The ESME role: binds to an SMSC and submits.

use std::sync::Arc;
use std::time::Duration;

use matrix_smpp_codec::{COctets, Password as WirePassword};
use matrix_smpp_session::{
    Backoff, BindMode, BindSettings, CloseReason, LinkEvent, LinkEvents, LinkSettings, Role,
    SessionSettings, client,
};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::load::clock;
use crate::load::error::{BindFault, LoadError};
use crate::load::feed::Feed;
use crate::load::lane::Lane;
use crate::load::meter::Interval;
use crate::load::outcome::Outcome;
use crate::load::run::{Conductor, Phase, Shared, Stop};
use crate::load::settings::{SendSettings, Traffic};

/// Pauses before a lost bind is tried again.
const RECONNECT: Backoff = Backoff {
    first: Duration::from_millis(500),
    cap: Duration::from_secs(5),
};

/// How long binds may take to unbind after the others were refused.
const GOODBYE: Duration = Duration::from_secs(1);

/// Binds, sends what the settings say, waits for what is due, unbinds. `observe` sees each interval
/// as it ends.
///
/// # Errors
///
/// When not all binds come up in time, or a setting makes no sense.
pub async fn send(
    settings: &SendSettings,
    stop: &Stop,
    mut observe: impl FnMut(&Interval) + Send,
) -> Result<Outcome, LoadError> {
    let modes = modes(settings);
    let senders = modes.iter().filter(|mode| mode.sends(Role::Esme)).count();
    if modes.is_empty() {
        return Err(LoadError::NoBind);
    }
    let shared = Shared::new(modes.len());
    let mut feeds = Feed::all(senders, &shared, &settings.traffic, false)?.into_iter();
    let (news, verdicts) = mpsc::channel(modes.len());
    let mut lanes = JoinSet::new();
    for (number, mode) in modes.iter().enumerate() {
        let feed = if mode.sends(Role::Esme) {
            feeds.next()
        } else {
            None
        };
        let bind = Bind {
            number,
            settings: link_settings(settings, number, *mode)?,
            feed,
            shared: Arc::clone(&shared),
            wants_receipts: settings.traffic.mix.receipts,
            news: news.clone(),
        };
        lanes.spawn(bind.run());
    }
    drop(news);
    if let Err(error) = all_up(settings, modes.len(), verdicts, stop).await {
        // Those that are up unbind; the others have nobody to say goodbye to.
        shared.phase.send_replace(Phase::Closing);
        let goodbye = async { while lanes.join_next().await.is_some() {} };
        let _elapsed = timeout(GOODBYE, goodbye).await;
        return Err(error);
    }
    let conductor = Conductor {
        shared: &shared,
        traffic: &settings.traffic,
        stop,
        observe: &mut observe,
    };
    let mut meter = conductor.conduct().await;
    while lanes.join_next().await.is_some() {}
    observe(meter.tick(clock::now(), &shared.tallies));
    Ok(Outcome::of_send(settings, &meter, &shared))
}

fn modes(settings: &SendSettings) -> Vec<BindMode> {
    let of = |mode, count| std::iter::repeat_n(mode, count);
    of(BindMode::Transceiver, settings.transceivers)
        .chain(of(BindMode::Transmitter, settings.transmitters))
        .chain(of(BindMode::Receiver, settings.receivers))
        .collect()
}

/// Waits for the verdict on every bind.
async fn all_up(
    settings: &SendSettings,
    binds: usize,
    mut verdicts: mpsc::Receiver<Verdict>,
    stop: &Stop,
) -> Result<(), LoadError> {
    let mut up = 0;
    let mut last = None;
    let waiting = async {
        while up < binds {
            match verdicts.recv().await {
                Some((_, Ok(()))) => up += 1,
                Some((number, Err(reason))) => {
                    let fault = BindFault {
                        number: number + 1,
                        binds,
                        address: settings.address.clone(),
                        reason,
                    };
                    if is_final(reason) {
                        return Err(LoadError::Bind(fault));
                    }
                    last = Some(fault);
                }
                None => return Ok(()),
            }
        }
        Ok(())
    };
    let waited = tokio::select! {
        waited = timeout(settings.bind_timeout, waiting) => waited,
        () = stop.sending.cancelled() => return Err(LoadError::Stopped),
    };
    match (waited, last) {
        (Ok(verdict), _) => verdict,
        (Err(_elapsed), Some(fault)) => Err(LoadError::Bind(fault)),
        (Err(_elapsed), None) => Err(LoadError::NotAllBound { up, binds }),
    }
}

/// Whether there is no use in waiting for another attempt.
fn is_final(reason: CloseReason) -> bool {
    matches!(
        reason,
        CloseReason::BindRefused(_)
            | CloseReason::BindNacked(_)
            | CloseReason::TlsSettings
            | CloseReason::TlsHandshake
    )
}

type Verdict = (usize, Result<(), CloseReason>);

/// One bind, before it is up.
struct Bind {
    number: usize,
    settings: LinkSettings,
    feed: Option<Feed>,
    shared: Arc<Shared>,
    wants_receipts: bool,
    news: mpsc::Sender<Verdict>,
}

impl Bind {
    /// The link's driver and the lane take turns in one task: no wake-up crosses threads.
    async fn run(self) {
        let (link, mut events, driver) = client(self.settings);
        let mut lane = Lane::new(self.number, link, self.feed, self.shared);
        lane.wants_receipts = self.wants_receipts;
        let work = async {
            if come_up(self.number, &mut events, self.news).await {
                lane.was_up();
                lane.work(&mut events).await;
            }
        };
        tokio::join!(driver, work);
    }
}

/// Tells of each attempt until one succeeds; whether one has.
async fn come_up(number: usize, events: &mut LinkEvents, news: mpsc::Sender<Verdict>) -> bool {
    while let Some(event) = events.recv().await {
        let verdict = match event {
            LinkEvent::Up { .. } => Ok(()),
            LinkEvent::Down { reason, .. } => Err(reason),
            _ => continue,
        };
        let told = news.send((number, verdict)).await;
        if verdict.is_ok() || told.is_err() {
            return told.is_ok();
        }
    }
    false
}

fn link_settings(
    settings: &SendSettings,
    number: usize,
    mode: BindMode,
) -> Result<LinkSettings, LoadError> {
    let system_id = settings
        .system_id
        .replace("{bind}", &(number + 1).to_string());
    let system_id = COctets::try_from(system_id.as_str());
    let password = WirePassword::try_from(settings.password.0.as_str());
    let system_type = COctets::try_from(settings.system_type.as_str());
    Ok(LinkSettings {
        name: format!("bind {}", number + 1),
        address: settings.address.clone(),
        tls: settings.tls.clone(),
        bind: BindSettings {
            mode,
            system_id: system_id.map_err(|_| LoadError::TooLong("system_id", 15))?,
            password: password.map_err(|_| LoadError::TooLong("password", 8))?,
            system_type: system_type.map_err(|_| LoadError::TooLong("system_type", 12))?,
            ..BindSettings::default()
        },
        session: session(&settings.traffic),
        reconnect: RECONNECT,
    })
}

/// The session settings of either role. Windows are the session's, rates are ours, and a peer that
/// throttles does not slow us down: it is to be seen how often it does.
pub(crate) fn session(traffic: &Traffic) -> SessionSettings {
    let defaults = SessionSettings::default();
    SessionSettings {
        window: traffic.window,
        adapt: None,
        response_timeout: traffic.response_timeout,
        event_queue: defaults.event_queue.max(traffic.window.saturating_mul(2)),
        drain: Duration::from_secs(1),
        ..defaults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_does_not_spare_its_peer() {
        let session = session(&Traffic::default());
        assert_eq!((session.adapt, session.rate), (None, None));
        assert_eq!(session.window, 100);
    }
}
