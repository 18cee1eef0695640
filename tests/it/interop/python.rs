//! Two SMPP libraries of Python: smpplib as an ESME, smpp.pdu3 as a judge of single PDUs.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use bytes::BytesMut;
use matrix_smpp_codec::{
    Bind, Body, CommandStatus, DataCoding, DeliverSm, EsmClass, Npi, Pdu, QuerySm,
    RegisteredDelivery, ShortMessage, SubmitSm, SubmitSmResp, Ton,
};
use serde_json::{Value, json};

use super::{OWN, texts};
use crate::support::sim::{PASSWORD, SYSTEM_ID, Sim};
use crate::support::wait::until;
use crate::support::world::PHONE;
use crate::support::{installed, target_dir};

fn python(script: &str) -> Command {
    let venv = target_dir().join("peers/interop-venv/bin/python");
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/interop");
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", "--"])
        .arg(installed(venv, "smpplib"))
        .arg(scripts.join(script))
        .stdin(Stdio::piped());
    command
}

/// A running ESME of smpplib's; killed when dropped.
struct Esme {
    child: Child,
    input: Option<ChildStdin>,
    log: std::path::PathBuf,
}

impl Esme {
    fn start(home: &Path, port: u16) -> Self {
        let log = home.join("esme.jsonl");
        let output = std::fs::File::create(&log).expect("a log file");
        let port = port.to_string();
        let mut child = python("esme.py")
            .args([&port, SYSTEM_ID, PASSWORD, OWN, PHONE])
            .stdout(output)
            .spawn()
            .expect("Python");
        let input = child.stdin.take();
        Self { child, input, log }
    }

    fn sends(&mut self, text: &str) {
        let input = self.input.as_mut().expect("open until it listens");
        writeln!(input, "{}", json!(text)).expect("a running ESME");
    }

    /// From now on it only listens.
    fn listens(&mut self) {
        self.input.take();
    }

    fn told(&self, kind: &str) -> Vec<Value> {
        let lines = std::fs::read_to_string(&self.log).expect("the log of a started ESME");
        let lines = lines
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        lines.filter(|line: &Value| line["kind"] == kind).collect()
    }

    async fn tells(&self, kind: &str, count: usize) -> Vec<Value> {
        until(&format!("smpplib tells of {count} × {kind}"), async || {
            let told = self.told(kind);
            (told.len() >= count).then_some(told)
        })
        .await
    }
}

impl Drop for Esme {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn smpplib_sends_hears_of_it_and_gets_answers() {
    let home = tempfile::tempdir().expect("a folder");
    let sim = Sim::start(home.path()).await;
    let mut esme = Esme::start(home.path(), sim.smpp_port());
    for text in texts() {
        esme.sends(&text);
    }
    esme.listens();
    for text in texts() {
        sim.gets(PHONE, &text).await;
    }
    let accepted = esme.tells("accepted", 5).await;
    let receipts = esme.tells("receipt", 5).await;
    for answer in accepted {
        let of_it = |receipt: &&Value| receipt["id"] == answer["id"] && receipt["state"] == 2;
        assert_eq!(receipts.iter().filter(of_it).count(), 1, "{answer}");
    }
    sim.writes(PHONE, OWN, "an answer").await;
    let sms = esme.tells("sms", 1).await;
    assert_eq!(sms[0]["text"], "an answer");
    assert_eq!(sms[0]["source"], PHONE);
}

/// One PDU of each kind that smpp.pdu3 knows, with what it could get wrong.
fn pdus() -> Vec<Pdu> {
    let address = |digits: &str| digits.parse().expect("an address");
    let bind = Bind {
        system_id: "gateway".parse().expect("short"),
        password: "secret".parse().expect("short"),
        ..Bind::default()
    };
    let submit = SubmitSm {
        source_addr_ton: Ton::INTERNATIONAL,
        source_addr_npi: Npi::ISDN,
        source_addr: address(OWN),
        dest_addr_ton: Ton::INTERNATIONAL,
        dest_addr_npi: Npi::ISDN,
        destination_addr: address(PHONE),
        registered_delivery: RegisteredDelivery::RECEIPT,
        data_coding: DataCoding::UCS2,
        short_message: ShortMessage::try_from(&[0x04, 0x16, 0x04, 0x01][..]).expect("short"),
        ..SubmitSm::default()
    };
    let mut deliver = DeliverSm {
        source_addr: address(PHONE),
        destination_addr: address(OWN),
        esm_class: EsmClass::RECEIPT,
        short_message: ShortMessage::try_from(&b"id:1 stat:DELIVRD err:000"[..]).expect("short"),
        ..DeliverSm::default()
    };
    deliver
        .tlvs
        .set_receipted_message_id(&"1".parse().expect("short"));
    let resp = SubmitSmResp {
        message_id: "a1".parse().expect("short"),
        ..SubmitSmResp::default()
    };
    let query = QuerySm {
        message_id: "a1".parse().expect("short"),
        source_addr: address(OWN),
        ..QuerySm::default()
    };
    let refused = Pdu {
        status: CommandStatus::ESME_RTHROTTLED,
        ..Pdu::new(8, Body::SubmitSmResp(SubmitSmResp::default()))
    };
    let bodies = [
        Body::BindTransceiver(bind.clone()),
        Body::BindReceiver(bind),
        Body::SubmitSm(submit),
        Body::DeliverSm(deliver),
        Body::SubmitSmResp(resp),
        Body::QuerySm(query),
        Body::EnquireLink,
        Body::EnquireLinkResp,
        Body::Unbind,
        Body::UnbindResp,
    ];
    let numbered = (1..)
        .zip(bodies)
        .map(|(sequence, body)| Pdu::new(sequence, body));
    numbered.chain([refused]).collect()
}

#[test]
fn smpp_pdu3_reads_what_we_write_and_writes_the_same() {
    let frames: Vec<String> = pdus()
        .iter()
        .map(|pdu| {
            let mut frame = BytesMut::new();
            pdu.encode(&mut frame);
            format!("{frame:x}")
        })
        .collect();
    let mut judge = python("judge.py")
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python");
    let mut input = judge.stdin.take().expect("a pipe");
    writeln!(input, "{}", frames.join("\n")).expect("a running judge");
    drop(input);
    let output = judge.wait_with_output().expect("a judge that ends");
    let written = String::from_utf8(output.stdout).expect("hexadecimal");
    assert_eq!(written.lines().collect::<Vec<_>>(), frames);
}
