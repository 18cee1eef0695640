//! TLS by rustls with the ring provider.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, PrivateKeyDer, ServerName};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig, ServerConnection};
use thiserror::Error;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use webpki::EndEntityCert;

/// TLS towards a peer that we connect to. The files are PEM and are read again for every
/// connection, so that a renewed certificate is used without a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// Whom to trust; `None` for the system's store.
    pub ca: Option<PathBuf>,
    /// Our certificate chain, where the peer asks for one. Needs `key`.
    pub certificate: Option<PathBuf>,
    /// The key of `certificate`.
    pub key: Option<PathBuf>,
    /// The name that the peer's certificate must bear; `None` for the host of the address.
    pub server_name: Option<String>,
}

/// TLS towards peers that connect to us. The files are PEM; [`ServerTls::reload`] reads them again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerTlsSettings {
    /// Our certificate chain.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Who signs the certificates that clients must show; `None` to ask for none.
    pub client_ca: Option<PathBuf>,
    /// Whether a client may come without a certificate though `client_ca` is set: then it is for
    /// its account to want one.
    pub client_optional: bool,
}

/// The TLS of a listener. Clones are the same.
#[derive(Debug, Clone)]
pub struct ServerTls {
    settings: Arc<ServerTlsSettings>,
    config: Arc<RwLock<Arc<ServerConfig>>>,
}

impl ServerTls {
    /// Reads the files.
    pub fn new(settings: ServerTlsSettings) -> Result<Self, TlsError> {
        let config = RwLock::new(settings.config()?);
        Ok(Self {
            settings: Arc::new(settings),
            config: Arc::new(config),
        })
    }

    /// Reads the files again, for the connections to come; those that stand stay. When they cannot
    /// be used everything stays as it is. Blocks while it reads.
    pub fn reload(&self) -> Result<(), TlsError> {
        let fresh = self.settings.config()?;
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// What accepts the handshakes, as of now, for a caller that accepts connections itself.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config())
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The names in the certificate that a client showed, which an authority of ours has signed: the DNS
/// names of subjectAltName, and the common names of the subject.
pub(crate) fn client_names(connection: &ServerConnection) -> Vec<String> {
    let chain = connection.peer_certificates().unwrap_or_default();
    let Some(Ok(certificate)) = chain.first().map(EndEntityCert::try_from) else {
        return Vec::new();
    };
    let mut names: Vec<_> = certificate.valid_dns_names().map(str::to_owned).collect();
    names.extend(common_names(certificate.subject()));
    names
}

/// The common names of a subject in DER: the string behind each `commonName` (2.5.4.3). X.520 §6.2.2.
fn common_names(subject: &[u8]) -> Vec<String> {
    const OID: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x03];
    let mut names = Vec::new();
    let mut rest = subject;
    while let Some((set, behind)) = element(rest) {
        rest = behind;
        // A relative distinguished name: a set of sequences of type and value.
        let mut attributes = set;
        while let Some((attribute, behind)) = element(attributes) {
            attributes = behind;
            let value = attribute.strip_prefix(&OID).and_then(element);
            let text = value.and_then(|(value, _)| str::from_utf8(value).ok());
            names.extend(text.map(str::to_owned));
        }
    }
    names
}

/// The content of the first DER element, and what follows it; lengths of up to two octets.
fn element(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = match *der.get(1..)? {
        [length @ 0..=0x7F, ref rest @ ..] | [0x81, length, ref rest @ ..] => {
            (usize::from(length), rest)
        }
        [0x82, high, low, ref rest @ ..] => (usize::from(u16::from_be_bytes([high, low])), rest),
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// Why TLS settings cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file is missing or not PEM.
    #[error("{path}: {cause}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        cause: pem::Error,
    },
    /// A certificate without its key or the other way round.
    #[error("certificate and key belong together: one of them is missing")]
    HalfIdentity,
    /// The name of the server is neither a DNS name nor an IP address.
    #[error("not a server name: {0}")]
    ServerName(#[from] InvalidDnsNameError),
    /// There is nobody to trust.
    #[error("no certificate authority: {0}")]
    NoAuthority(#[from] VerifierBuilderError),
    /// Certificate and key do not fit, or cannot be used.
    #[error(transparent)]
    Unusable(#[from] rustls::Error),
}

impl TlsSettings {
    /// Reads the files. `host` is the host that the connection goes to.
    pub(crate) fn connector(
        &self,
        host: &str,
    ) -> Result<(TlsConnector, ServerName<'static>), TlsError> {
        let name = self.server_name.as_deref().unwrap_or(host).to_owned();
        let name = ServerName::try_from(name)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(self.roots()?);
        let config = match (&self.certificate, &self.key) {
            (None, None) => builder.with_no_client_auth(),
            (Some(chain), Some(key)) => {
                builder.with_client_auth_cert(certificates(chain)?, self::key(key)?)?
            }
            _ => return Err(TlsError::HalfIdentity),
        };
        Ok((TlsConnector::from(Arc::new(config)), name))
    }

    fn roots(&self) -> Result<RootCertStore, TlsError> {
        if let Some(ca) = &self.ca {
            return authorities(ca);
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Ok(roots)
    }
}

impl ServerTlsSettings {
    /// Reads the files.
    pub(crate) fn config(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(ca) => {
                let roots = Arc::new(authorities(ca)?);
                let mut verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                if self.client_optional {
                    verifier = verifier.allow_unauthenticated();
                }
                builder.with_client_cert_verifier(verifier.build()?)
            }
        };
        let chain = certificates(&self.certificate)?;
        let config = builder.with_single_cert(chain, key(&self.key)?)?;
        Ok(Arc::new(config))
    }
}

fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unreadable = |cause| TlsError::File {
        path: path.to_owned(),
        cause,
    };
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(unreadable)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|cause| TlsError::File {
        path: path.to_owned(),
        cause,
    })
}
