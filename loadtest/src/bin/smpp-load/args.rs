//! The flags.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use matrix_smpp_loadtest::load::{
    Expectations, Lengths, ListenSettings, Mix, Password, SendSettings, Traffic,
};
use matrix_smpp_session::{ServerTlsSettings, TlsSettings};

/// Load over SMPP, from either end, with a report.
///
/// Ends with status 0; with 1 when an expectation is not met; with 2 when there was nothing to
/// measure (a refused bind, a wrong flag). The first Ctrl-C or SIGTERM ends the sending, and what is
/// due is waited for; the second ends the waiting. Both still unbind and report. The environment
/// variable `RUST_LOG` sets what it logs.
#[derive(Debug, Parser)]
#[command(name = "smpp-load", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) role: Role,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// Binds to an SMSC and sends `submit_sm` (the ESME role).
    Send(Box<SendArgs>),
    /// Lets ESMEs bind, sends them `deliver_sm`, answers their `submit_sm` (the SMSC role).
    Listen(Box<ListenArgs>),
}

#[derive(Debug, Args)]
pub(crate) struct SendArgs {
    /// The SMSC, as host:port.
    #[arg(default_value = "127.0.0.1:2775", value_name = "ADDRESS")]
    address: String,

    /// The account's name; `{bind}` becomes the number of the bind, from 1.
    #[arg(long, default_value = "load")]
    system_id: String,

    /// The account's password.
    #[arg(
        long,
        env = "SMPP_LOAD_PASSWORD",
        hide_env_values = true,
        default_value = ""
    )]
    password: String,

    /// The `system_type`, where the SMSC asks for one.
    #[arg(long, default_value = "")]
    system_type: String,

    /// Binds that send and receive. Without any of --trx, --tx and --rx there is one.
    #[arg(long, default_value_t = 0, value_name = "N")]
    trx: usize,

    /// Binds that only send.
    #[arg(long, default_value_t = 0, value_name = "N")]
    tx: usize,

    /// Binds that only receive; they answer and count receipts and messages.
    #[arg(long, default_value_t = 0, value_name = "N")]
    rx: usize,

    /// How long all binds together may take to come up.
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = duration)]
    bind_timeout: Duration,

    /// Ask for receipts, match them with their messages, and wait for them at the end.
    #[arg(long)]
    receipts: bool,

    /// Speak TLS, and trust the system's authorities.
    #[arg(long)]
    tls: bool,

    /// Speak TLS, and trust the authorities in this file (PEM).
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,

    /// Our certificate chain (PEM), where the SMSC asks for one.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// Its private key (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// The name that the SMSC's certificate bears, where it is not the host of the address.
    #[arg(long, value_name = "NAME")]
    tls_name: Option<String>,

    #[command(flatten)]
    pub(crate) traffic: TrafficArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ListenArgs {
    /// Where ESMEs bind; port 0 takes a free one.
    #[arg(default_value = "127.0.0.1:2775", value_name = "ADDRESS")]
    address: SocketAddr,

    /// The password that every bind must bear; without it, any.
    #[arg(long, env = "SMPP_LOAD_PASSWORD", hide_env_values = true)]
    password: Option<String>,

    /// The traffic starts when so many receiving binds are up, and is shared over them. With 0 there
    /// is none: it only answers, for --duration or until Ctrl-C.
    #[arg(long, default_value_t = 1, value_name = "N")]
    binds: usize,

    /// How long to wait for them.
    #[arg(long, default_value = "60s", value_name = "TIME", value_parser = duration)]
    bind_timeout: Duration,

    /// Give receipts for the `submit_sm` that ask for them, on the bind that they came on.
    #[arg(long)]
    receipts: bool,

    /// The certificate chain (PEM) of the port, which then speaks TLS only.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// Its private key (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) traffic: TrafficArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Traffic")]
pub(crate) struct TrafficArgs {
    /// Requests per second over all binds: an open loop, which does not slow down with the peer.
    /// Without it a closed loop keeps the windows full.
    #[arg(long, value_name = "N")]
    rate: Option<NonZeroU32>,

    /// How long the rate takes to build up.
    #[arg(long, default_value = "0s", value_name = "TIME", value_parser = duration, requires = "rate")]
    ramp: Duration,

    /// How many requests are sent; without --duration and --count, until Ctrl-C.
    #[arg(long, value_name = "N")]
    count: Option<u64>,

    /// How long requests are sent.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    duration: Option<Duration>,

    /// Most requests without an answer on each bind.
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = window)]
    window: usize,

    /// The longest wait for an answer.
    #[arg(long, default_value = "30s", value_name = "TIME", value_parser = duration)]
    response_timeout: Duration,

    /// How long answers are waited for after the last request.
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = duration)]
    drain: Duration,

    /// How long receipts are waited for after the last answer.
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = duration)]
    receipt_wait: Duration,

    /// The sender: digits, or a name of up to 11 characters.
    #[arg(long, default_value = "447700900001", value_name = "ADDRESS")]
    from: String,

    /// The first destination.
    #[arg(long, default_value = "447700900100", value_name = "NUMBER")]
    to: String,

    /// How many consecutive numbers are written to, in turn.
    #[arg(long, default_value = "100", value_name = "N")]
    to_count: NonZeroU64,

    /// A text; may be repeated, and then they take turns. An `n` in braces becomes the number of the
    /// message. Without it, texts are generated.
    #[arg(long = "text", value_name = "TEXT")]
    texts: Vec<String>,

    /// The length of generated texts in characters: N, FROM-TO, or several with weights, as
    /// 20-160:9,300:1. Longer ones go as several segments, each of which is one request.
    #[arg(long, default_value = "20-160", value_delimiter = ',', value_parser = lengths)]
    length: Vec<Lengths>,

    /// How many of 100 generated texts need UCS-2.
    #[arg(long, default_value_t = 0, value_name = "PERCENT",
          value_parser = clap::value_parser!(u32).range(0..=100))]
    ucs2: u32,

    /// Decides the generated texts: the same seed, the same messages.
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,

    #[command(flatten)]
    pub(crate) report: ReportArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Report and expectations")]
pub(crate) struct ReportArgs {
    /// Where the result goes as JSON; `-` for the standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Where the report with plots goes.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,

    /// No progress.
    #[arg(long, short)]
    pub(crate) quiet: bool,

    /// Fail below so many answers with `ESME_ROK` a second. An open loop ends a little below its rate.
    #[arg(long, value_name = "N")]
    expect_rate: Option<f64>,

    /// Fail when more of 100 requests are refused, unanswered or unsent.
    #[arg(long, value_name = "PERCENT")]
    max_error_percent: Option<f64>,

    /// Fail when the 99th percentile of the latency is above.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    max_p99: Option<Duration>,

    /// Fail when fewer of 100 receipts that are due have come.
    #[arg(long, value_name = "PERCENT")]
    expect_receipts_percent: Option<f64>,
}

impl TrafficArgs {
    fn settings(&self, receipts: bool) -> Traffic {
        Traffic {
            rate: self.rate,
            ramp: self.ramp,
            count: self.count,
            duration: self.duration,
            window: self.window,
            response_timeout: self.response_timeout,
            drain: self.drain,
            receipt_wait: self.receipt_wait,
            mix: Mix {
                from: self.from.clone(),
                to: self.to.clone(),
                to_count: self.to_count,
                texts: self.texts.clone(),
                lengths: self.length.clone(),
                ucs2_percent: self.ucs2,
                receipts,
                seed: self.seed,
            },
        }
    }
}

impl SendArgs {
    pub(crate) fn settings(&self) -> SendSettings {
        let none = self.trx + self.tx + self.rx == 0;
        let named = self.tls_ca.is_some() || self.tls_cert.is_some() || self.tls_name.is_some();
        let tls = (self.tls || named).then(|| TlsSettings {
            ca: self.tls_ca.clone(),
            certificate: self.tls_cert.clone(),
            key: self.tls_key.clone(),
            server_name: self.tls_name.clone(),
        });
        SendSettings {
            address: self.address.clone(),
            tls,
            system_id: self.system_id.clone(),
            password: Password(self.password.clone()),
            system_type: self.system_type.clone(),
            transceivers: if none { 1 } else { self.trx },
            transmitters: self.tx,
            receivers: self.rx,
            bind_timeout: self.bind_timeout,
            traffic: self.traffic.settings(self.receipts),
        }
    }
}

impl ListenArgs {
    pub(crate) fn settings(&self) -> ListenSettings {
        let files = self.tls_cert.clone().zip(self.tls_key.clone());
        ListenSettings {
            listen: self.address,
            tls: files.map(|(certificate, key)| ServerTlsSettings {
                certificate,
                key,
                client_ca: None,
                client_optional: false,
            }),
            password: self.password.clone().map(Password),
            binds: self.binds,
            bind_timeout: self.bind_timeout,
            receipts: self.receipts,
            traffic: self.traffic.settings(false),
        }
    }
}

impl ReportArgs {
    pub(crate) const fn expectations(&self) -> Expectations {
        Expectations {
            rate: self.expect_rate,
            max_error_percent: self.max_error_percent,
            max_p99: self.max_p99,
            receipts_percent: self.expect_receipts_percent,
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let split = text
        .find(|char: char| !char.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: u32 = number
        .parse()
        .map_err(|_| "write a whole number and ms, s, m or h")?;
    match unit {
        "ms" => Ok(Duration::from_millis(number.into())),
        "s" => Ok(Duration::from_secs(number.into())),
        "m" => Ok(Duration::from_mins(number.into())),
        "h" => Ok(Duration::from_hours(number.into())),
        _ => Err("the unit is ms, s, m or h".to_owned()),
    }
}

fn window(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(window @ 1..=100_000) => Ok(window),
        _ => Err("a window is 1 to 100000".to_owned()),
    }
}

fn lengths(text: &str) -> Result<Lengths, String> {
    let whole = |number: &str| {
        let number = number.parse::<u32>();
        number.map_err(|_| "write N, FROM-TO or FROM-TO:WEIGHT".to_owned())
    };
    let (range, weight) = text.split_once(':').unwrap_or((text, "1"));
    let (from, to) = range.split_once('-').unwrap_or((range, range));
    let lengths = Lengths {
        from: whole(from)?,
        to: whole(to)?,
        weight: whole(weight)?,
    };
    if lengths.from > lengths.to {
        return Err("the shortest comes first".to_owned());
    }
    Ok(lengths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send_args(flags: &[&str]) -> Box<SendArgs> {
        let all = ["smpp-load", "send"].iter().chain(flags);
        match Cli::parse_from(all).role {
            Role::Send(args) => args,
            Role::Listen(_) => unreachable!("the words say send"),
        }
    }

    #[test]
    fn no_flag_is_needed() {
        let settings = send_args(&[]).settings();
        assert_eq!(settings.address, "127.0.0.1:2775");
        assert_eq!(settings.transceivers, 1);
        assert!(settings.traffic.rate.is_none() && settings.tls.is_none());
    }

    #[test]
    fn lengths_are_ranges_with_weights() {
        let args = send_args(&["--length", "20-160:9,300"]);
        let range = |from, to, weight| Lengths { from, to, weight };
        assert_eq!(args.traffic.length, [range(20, 160, 9), range(300, 300, 1)]);
        for wrong in ["", "a", "9-1", "1-2:x"] {
            assert!(lengths(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_time_is_a_whole_number_and_a_unit() {
        assert_eq!(duration("1500ms"), Ok(Duration::from_millis(1_500)));
        assert_eq!(duration("2h"), Ok(Duration::from_hours(2)));
        for wrong in ["", "5", "s", "1.5s", "-1s", "5d"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn binds_of_one_kind_are_not_joined_by_the_one_that_is_there_by_default() {
        let settings = send_args(&["--tx", "2", "--rx", "1"]).settings();
        assert_eq!(
            (
                settings.transceivers,
                settings.transmitters,
                settings.receivers
            ),
            (0, 2, 1)
        );
    }
}
