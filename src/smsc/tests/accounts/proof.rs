//! How accounts prove who they are: by password, by certificate, by both.

use std::path::PathBuf;

use matrix_smpp_session::TlsSettings;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::door::config;
use super::*;

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

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn certify(&self, name: &str) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.path(&format!("{name}.crt")), certificate.pem()).unwrap();
        std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    /// A client with the certificate of this name, or with none.
    fn client(&self, name: Option<&str>) -> TlsSettings {
        let file = |kind: &str| name.map(|name| self.path(&format!("{name}.{kind}")));
        TlsSettings {
            ca: Some(self.path("ca.pem")),
            server_name: Some("smsc.test".to_owned()),
            certificate: file("crt"),
            key: file("key"),
        }
    }

    /// The configuration with TLS, and accounts that need a certificate, and both.
    fn config(&self) -> String {
        let folder = self.folder.path().display();
        let tls = format!(
            r#"
            listen = "127.0.0.1:0"
            tls.cert_file = "{folder}/smsc.test.crt"
            tls.key_file = "{folder}/smsc.test.key"
            tls.client_ca_file = "{folder}/ca.pem"
            "#
        );
        let more = r#"
            [[esme]]
            name = "certified"
            system_id = "cert"
            certificate = "cert.test"
            [[esme]]
            name = "both"
            system_id = "both"
            password = "secret"
            certificate = "both.test"
            "#;
        config().replace("listen = \"127.0.0.1:0\"", &tls) + more
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_shows_its_certificate_its_password_or_both_as_it_is_set() {
    let authority = Authority::new();
    for name in ["smsc.test", "cert.test", "both.test"] {
        authority.certify(name);
    }
    let door = Door::open_with(tempfile::tempdir().unwrap(), &authority.config()).await;
    for (system_id, password, certificate, may) in [
        ("cert", "", Some("cert.test"), true),
        ("cert", "any", Some("cert.test"), true),
        ("cert", "", Some("both.test"), false),
        ("cert", "", None, false),
        ("both", "secret", Some("both.test"), true),
        ("both", "wrong", Some("both.test"), false),
        ("both", "secret", Some("cert.test"), false),
        ("both", "secret", None, false),
        ("agg", "secret", None, true),
        ("agg", "secret", Some("cert.test"), true),
    ] {
        let tls = authority.client(certificate);
        let mut esme = door.connect_by(system_id, password, BindMode::Transmitter, Some(tls));
        match esme.next().await {
            LinkEvent::Up { .. } => assert!(may, "{system_id} {password} {certificate:?}"),
            LinkEvent::Down { reason, .. } => {
                let refused = CloseReason::BindRefused(CommandStatus::ESME_RINVPASWD);
                assert_eq!(reason, refused);
                assert!(!may, "{system_id} {password} {certificate:?}");
            }
            other => panic!("{other:?}"),
        }
    }
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_in_national_form_is_one_of_its_accounts_country() {
    let at_home = config().replace(
        "system_id = \"strict\"",
        "system_id = \"strict\"\ncountry_code = \"44\"",
    );
    let door = Door::open_with(tempfile::tempdir().unwrap(), &at_home).await;
    for (system_id, key) in [("strict", "447700900123"), ("agg", "=s07700900123")] {
        let mut esme = door.connect(system_id, "secret", BindMode::Transceiver);
        assert!(matches!(esme.next().await, LinkEvent::Up { .. }));
        let national = SubmitSm {
            source_addr_ton: Ton::NATIONAL,
            source_addr: "07700900123".parse().unwrap(),
            registered_delivery: RegisteredDelivery::NONE,
            ..sm(system_id)
        };
        esme.submit(national).await.unwrap();
        let all = door.pending().await;
        let text = all.iter().find(|sms| sms.text == system_id).unwrap();
        assert_eq!(text.from.key(), key);
    }
    door.close().await;
}
