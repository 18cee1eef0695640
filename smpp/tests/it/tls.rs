//! TLS with certificates made for the test.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use matrix_smpp_codec::{Body, CommandStatus, Inbound, Pdu, SubmitSm, take};
use matrix_smpp_session::{
    Account, CloseReason, LinkEvent, LinkState, Listener, ListenerSettings, ServerTlsSettings,
    TlsSettings,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::{TlsConnector, client};
use tokio_util::task::TaskTracker;

use crate::accounts::{accounts, serve};
use crate::common::*;
use crate::raw::{Raw, encoded};

/// An authority, and certificates of it, as PEM files.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Certificate and key of this name.
    fn certify(&self, name: &str) -> (PathBuf, PathBuf) {
        self.sign(
            name,
            &CertificateParams::new(vec![name.to_owned()]).unwrap(),
        )
    }

    /// Settings of a client with a certificate like this.
    fn certify_params(&self, name: &str, params: &CertificateParams) -> TlsSettings {
        let (certificate, key) = self.sign(name, params);
        TlsSettings {
            certificate: Some(certificate),
            key: Some(key),
            ..self.client()
        }
    }

    fn sign(&self, name: &str, params: &CertificateParams) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let path = |kind| self.folder.path().join(format!("{name}.{kind}.pem"));
        std::fs::write(path("crt"), certificate.pem()).unwrap();
        std::fs::write(path("key"), key.serialize_pem()).unwrap();
        (path("crt"), path("key"))
    }

    fn listener(&self, client_ca: Option<PathBuf>) -> ListenerSettings {
        let (certificate, key) = self.certify("smsc.test");
        let tls = Some(ServerTlsSettings {
            certificate,
            key,
            client_ca,
            client_optional: false,
        });
        ListenerSettings {
            tls,
            ..listener_settings()
        }
    }

    fn client(&self) -> TlsSettings {
        let server_name = Some("smsc.test".to_owned());
        TlsSettings {
            ca: Some(self.ca()),
            server_name,
            ..TlsSettings::default()
        }
    }
}

/// Why the first attempt with these settings fails.
async fn refusal(listener: ListenerSettings, client: TlsSettings) -> CloseReason {
    let (address, _peers) = listen(listener).await;
    let mut settings = link_settings(address);
    settings.tls = Some(client);
    match connect(settings).next().await {
        LinkEvent::Down { reason, .. } => reason,
        event => panic!("{event:?}"),
    }
}

#[tokio::test]
async fn a_link_is_bound_over_tls_and_carries_much() {
    let authority = Authority::new();
    let (address, peers) = listen(authority.listener(None)).await;
    let mut settings = link_settings(address);
    settings.tls = Some(authority.client());
    let (esme, smsc) = bind(settings, peers).await;
    answer_everything(smsc);
    exchange_in_order(esme, 2_000).await;
}

/// A TLS client made of nothing but a socket and what it trusts.
async fn raw_client(address: &str, authority: &Authority) -> client::TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    let trusted = CertificateDer::from_pem_file(authority.ca()).unwrap();
    roots.add(trusted).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("smsc.test").unwrap();
    let socket = TcpStream::connect(address).await.unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(name, socket).await.unwrap()
}

#[tokio::test]
async fn a_peer_that_ends_its_side_of_tls_gets_every_answer() {
    let authority = Authority::new();
    let (address, mut peers) = listen(authority.listener(None)).await;
    let mut stream = raw_client(&address, &authority).await;
    let mut octets = Raw::bind_request();
    for sequence in 2..=500 {
        let submit = Body::SubmitSm(SubmitSm::default());
        octets.extend_from_slice(&encoded(&Pdu::new(sequence, submit)));
    }
    stream.write_all(&octets).await.unwrap();
    stream.shutdown().await.unwrap();
    answer_everything(peers.recv().await.unwrap());
    let mut answers = BytesMut::new();
    while stream.read_buf(&mut answers).await.unwrap() > 0 {}
    for expected in 1..=500 {
        let Some(Inbound::Pdu(pdu)) = take(&mut answers, 1_000).unwrap() else {
            panic!("{expected} was not answered")
        };
        assert_eq!(
            (pdu.sequence, pdu.status),
            (expected, CommandStatus::ESME_ROK)
        );
    }
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_not_trusted() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let reason = refusal(stranger.listener(None), authority.client()).await;
    assert_eq!(reason, CloseReason::TlsHandshake);
}

#[tokio::test]
async fn a_certificate_of_another_name_is_not_trusted() {
    let authority = Authority::new();
    let server_name = Some("other.test".to_owned());
    let client = TlsSettings {
        server_name,
        ..authority.client()
    };
    assert_eq!(
        refusal(authority.listener(None), client).await,
        CloseReason::TlsHandshake
    );
}

#[tokio::test]
async fn a_listener_that_wants_client_certificates_takes_those_of_its_authority() {
    let authority = Authority::new();
    let (certificate, key) = authority.certify("esme.test");
    let client = TlsSettings {
        certificate: Some(certificate),
        key: Some(key),
        ..authority.client()
    };
    let (address, peers) = listen(authority.listener(Some(authority.ca()))).await;
    let mut settings = link_settings(address);
    settings.tls = Some(client);
    let (esme, smsc) = bind(settings, peers).await;
    answer_everything(smsc);
    exchange_in_order(esme, 10).await;
}

#[tokio::test]
async fn a_listener_that_wants_client_certificates_takes_nobody_without() {
    let authority = Authority::new();
    let listener = authority.listener(Some(authority.ca()));
    let reason = refusal(listener, authority.client()).await;
    // With TLS 1.3 the refusal comes after the client's side of the handshake is done.
    assert!(
        matches!(
            reason,
            CloseReason::TlsHandshake | CloseReason::Io(_) | CloseReason::PeerClosed
        ),
        "{reason:?}"
    );
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_told_as_such() {
    let authority = Authority::new();
    let (certificate, _key) = authority.certify("esme.test");
    let half = TlsSettings {
        certificate: Some(certificate),
        ..authority.client()
    };
    let missing = TlsSettings {
        ca: Some("/nowhere/ca.pem".into()),
        ..authority.client()
    };
    for client in [half, missing] {
        let reason = refusal(authority.listener(None), client).await;
        assert_eq!(reason, CloseReason::TlsSettings);
    }
}

#[tokio::test]
async fn a_listener_without_its_key_cannot_be_made() {
    let authority = Authority::new();
    let (certificate, _key) = authority.certify("smsc.test");
    let tls = Some(ServerTlsSettings {
        certificate,
        key: authority.ca(),
        ..ServerTlsSettings::default()
    });
    let settings = ListenerSettings {
        tls,
        ..listener_settings()
    };
    assert!(Listener::bind("127.0.0.1:0", settings).await.is_err());
}

#[tokio::test]
async fn a_peer_that_does_not_speak_tls_does_not_bind() {
    let authority = Authority::new();
    let (address, peers) = listen(authority.listener(None)).await;
    let mut esme = connect(link_settings(address));
    assert!(matches!(esme.next().await, LinkEvent::Down { .. }));
    assert!(peers.is_empty());
}

// === accounts by certificate, and renewal ===

fn certified_account() -> Account {
    Account {
        system_id: octets("esme"),
        certificate: Some("esme.test".to_owned()),
        ..Account::default()
    }
}

/// A listener whose clients may come with a certificate.
fn optional(authority: &Authority) -> ListenerSettings {
    let mut settings = authority.listener(Some(authority.ca()));
    settings.tls.as_mut().unwrap().client_optional = true;
    settings
}

async fn first_event(address: &str, client: TlsSettings) -> LinkEvent {
    let mut settings = link_settings(address.to_owned());
    settings.tls = Some(client);
    settings.bind.password = "".parse().unwrap();
    connect(settings).next().await
}

fn is_refused(event: &LinkEvent) -> bool {
    let refused = CloseReason::BindRefused(CommandStatus::ESME_RINVPASWD);
    matches!(event, LinkEvent::Down { reason, .. } if *reason == refused)
}

#[tokio::test]
async fn an_account_binds_by_its_certificate_and_nobody_else_by_its_name() {
    let authority = Authority::new();
    let accounts = accounts(certified_account());
    let (address, _peers) = serve(optional(&authority), &accounts).await;
    let with = |name| {
        let (certificate, key) = authority.certify(name);
        TlsSettings {
            certificate: Some(certificate),
            key: Some(key),
            ..authority.client()
        }
    };
    let up = first_event(&address, with("esme.test")).await;
    assert!(matches!(up, LinkEvent::Up { .. }), "{up:?}");
    assert!(is_refused(&first_event(&address, with("other.test")).await));
    assert!(is_refused(&first_event(&address, authority.client()).await));
}

#[tokio::test]
async fn the_common_name_of_a_certificate_is_a_name_of_it() {
    let authority = Authority::new();
    let accounts = accounts(certified_account());
    let (address, _peers) = serve(optional(&authority), &accounts).await;
    let named = |name: &str| {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CountryName, "GB");
        params.distinguished_name.push(DnType::CommonName, name);
        authority.certify_params(name, &params)
    };
    for (name, expected) in [("ESME.test", false), ("esme.test.evil", true)] {
        let event = first_event(&address, named(name)).await;
        assert_eq!(is_refused(&event), expected, "{name}: {event:?}");
    }
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_after_a_reload_and_sessions_stay() {
    let (authority, successor) = (Authority::new(), Authority::new());
    let settings = authority.listener(None);
    let files = settings.tls.clone().unwrap();
    let listener = Listener::bind("127.0.0.1:0", settings).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let tls = listener.tls().unwrap();
    let accounts = accounts(Account {
        password: Some("".parse().unwrap()),
        certificate: None,
        ..certified_account()
    });
    let (sender, _peers) = mpsc::channel(16);
    spawn(listener.serve(accounts, sender, TaskTracker::new()));

    let mut settings = link_settings(address.clone());
    settings.tls = Some(authority.client());
    settings.bind.password = "".parse().unwrap();
    let mut stays = connect(settings);
    assert!(matches!(stays.next().await, LinkEvent::Up { .. }));

    // Half a renewal: nothing changes.
    let (certificate, key) = successor.certify("smsc.test");
    std::fs::copy(&certificate, &files.certificate).unwrap();
    assert!(tls.reload().is_err());
    let old = first_event(&address, authority.client()).await;
    assert!(matches!(old, LinkEvent::Up { .. }), "{old:?}");

    std::fs::copy(&key, &files.key).unwrap();
    tls.reload().unwrap();
    let new = first_event(&address, successor.client()).await;
    assert!(matches!(new, LinkEvent::Up { .. }), "{new:?}");
    let LinkEvent::Down { reason, .. } = first_event(&address, authority.client()).await else {
        panic!()
    };
    assert_eq!(reason, CloseReason::TlsHandshake);
    assert_eq!(stays.link.state(), LinkState::Bound);
}

#[tokio::test]
async fn a_peer_that_does_not_finish_its_handshake_is_dropped_in_time() {
    let authority = Authority::new();
    let mut settings = authority.listener(None);
    settings.session.session_init = Duration::from_millis(50);
    let (address, _peers) = listen(settings).await;
    let mut raw = Raw::connect(&address).await;
    raw.write(&[0x16, 0x03, 0x01]).await;
    assert_eq!(raw.read().await, None);
}
