//! The running program reads its accounts and its certificates again.

use std::path::{Path, PathBuf};

use matrix_smpp_session::{CloseReason, TlsSettings};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::NUMBER;
use super::esme::Esme;
use crate::support::gateway::{Gateway, Plan};
use crate::support::peer::free_port;
use crate::support::sim::PASSWORD;

/// Makes an authority, and the listener's certificate of it; whom to trust then.
fn certify(folder: &Path, authority: &str) -> TlsSettings {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = || KeyPair::generate().expect("a key");
    let issuer = CertifiedIssuer::self_signed(params, key()).expect("an authority");
    let (key, name) = (key(), "smsc.test".to_owned());
    let certificate = CertificateParams::new(vec![name.clone()])
        .and_then(|params| params.signed_by(&key, &issuer))
        .expect("a certificate");
    let ca = folder.join(authority);
    for (path, text) in [
        (ca.clone(), issuer.pem()),
        (folder.join("smpp.pem"), certificate.pem()),
        (folder.join("smpp.key"), key.serialize_pem()),
    ] {
        std::fs::write(path, text).expect("a file");
    }
    TlsSettings {
        ca: Some(ca),
        server_name: Some(name),
        ..TlsSettings::default()
    }
}

fn account(name: &str) -> String {
    format!("\n[[esme]]\nname = \"{name}\"\nsystem_id = \"{name}\"\npassword = \"{PASSWORD}\"\n")
}

/// A gateway that no homeserver answers, with a listener on this port.
fn gateway(home: &Path, port: u16) -> Gateway {
    let folder = PathBuf::from(home);
    let mut plan = Plan::new("http://127.0.0.1:9", free_port());
    plan.numbers = vec!["447700900901"];
    plan.dedicated = vec![(NUMBER, "@alice:example.org".to_owned())];
    plan.more = format!(
        r#"
[listener]
listen = "127.0.0.1:{port}"
tls.cert_file = "{folder}/smpp.pem"
tls.key_file = "{folder}/smpp.key"
{stays}{goes}
"#,
        folder = folder.display(),
        stays = account("stays"),
        goes = account("goes"),
    );
    Gateway::prepare(home, &plan)
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_and_certificates_are_read_again_while_the_rest_goes_on() {
    let home = tempfile::tempdir().expect("a folder");
    let (port, first) = (free_port(), certify(home.path(), "first.pem"));
    let mut gateway = gateway(home.path(), port);
    gateway.launch_with(&[]);
    let mut stays = Esme::bind_as("stays", port, Some(first.clone())).await;
    let mut goes = Esme::bind_as("goes", port, Some(first)).await;

    let second = certify(home.path(), "second.pem");
    gateway.rewrite(|config| config.replace(&account("goes"), &account("comes")));
    gateway.hang_up();
    assert_eq!(goes.end().await, CloseReason::PeerUnbound);
    let mut comes = Esme::bind_as("comes", port, Some(second)).await;
    comes.submit("I am new").await;
    stays.submit("I have been here").await;
    gateway.logs("certificates were read again").await;
    gateway.logs("accounts were read again").await;

    // With a mistake in the file, all stays as it is.
    gateway.rewrite(|config| config.replace(&account("comes"), "[[esme]]\nnam = 1\n"));
    gateway.hang_up();
    gateway.logs("all stays as it is").await;
    comes.submit("I am still here").await;
    gateway.stop().await;
}
