//! TLS with certificates made for the test.

use std::path::PathBuf;

use matrix_smpp_session::{
    CloseReason, LinkEvent, Listener, ListenerSettings, ServerTlsSettings, TlsSettings,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use crate::common::*;

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
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
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
