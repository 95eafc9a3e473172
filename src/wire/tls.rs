//! TLS for both ends: certificates in, rustls configurations out, and how far a backend's certificate is trusted.
//! It reads no files and opens no connection; PEM text comes from outside.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};

/// How much TLS a connection to a backend needs, with the names and meanings of MySQL's `--ssl-mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsMode {
    /// No TLS.
    Disabled,
    /// TLS if the server has it; its certificate is not looked at.
    #[default]
    Preferred,
    /// TLS or no connection; the certificate is not looked at.
    Required,
    /// The certificate must be signed by the given authority.
    VerifyCa,
    /// And it must be for the host connected to.
    VerifyIdentity,
}

impl TlsMode {
    /// The mode of that name, written as in a configuration file: `verify-ca`.
    pub fn parse(name: &str) -> Option<TlsMode> {
        Some(match name {
            "disabled" => TlsMode::Disabled,
            "preferred" => TlsMode::Preferred,
            "required" => TlsMode::Required,
            "verify-ca" => TlsMode::VerifyCa,
            "verify-identity" => TlsMode::VerifyIdentity,
            _ => return None,
        })
    }
}

/// What is wrong with certificates or keys.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The text holds no usable certificate.
    #[error("no usable certificate in the {0} PEM text")]
    Certificate(&'static str),
    /// The text holds no usable private key.
    #[error("no usable private key in the PEM text")]
    Key,
    /// A verifying mode without an authority to verify by.
    #[error("TLS modes verify-ca and verify-identity need the certificate of an authority")]
    NoAuthority,
    /// What rustls says.
    #[error("{0}")]
    Rustls(#[from] rustls::Error),
    /// A certificate could not be made.
    #[error("cannot make a self-signed certificate: {0}")]
    SelfSigned(#[from] rcgen::Error),
}

/// How to begin TLS towards a backend.
#[derive(Clone, Debug)]
pub struct ClientTls {
    mode: TlsMode,
    config: Option<Arc<ClientConfig>>,
}

impl ClientTls {
    /// No TLS.
    pub fn disabled() -> ClientTls {
        ClientTls { mode: TlsMode::Disabled, config: None }
    }

    /// TLS by `mode`, trusting the authorities in the PEM text `authority`, showing the certificate and key in
    /// `identity` if the server asks for one.
    pub fn new(
        mode: TlsMode,
        authority: Option<&[u8]>,
        identity: Option<(&[u8], &[u8])>,
    ) -> Result<ClientTls, TlsError> {
        if mode == TlsMode::Disabled {
            return Ok(ClientTls::disabled());
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let roots = match (mode, authority) {
            (TlsMode::VerifyCa | TlsMode::VerifyIdentity, None) => {
                return Err(TlsError::NoAuthority);
            }
            (TlsMode::VerifyCa | TlsMode::VerifyIdentity, Some(pem)) => Some(root_store(pem)?),
            (TlsMode::Disabled | TlsMode::Preferred | TlsMode::Required, _) => None,
        };
        let trust = Trust { roots, by_name: mode == TlsMode::VerifyIdentity, provider: provider.clone() };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(trust));
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                builder.with_client_auth_cert(certificates(certificate, "client's")?, private_key(key)?)?
            }
        };
        Ok(ClientTls { mode, config: Some(Arc::new(config)) })
    }

    /// The configuration to begin TLS with, if TLS is wanted at all.
    pub fn config(&self) -> Option<&Arc<ClientConfig>> {
        self.config.as_ref()
    }

    /// Whether a server without TLS is refused.
    pub fn is_required(&self) -> bool {
        !matches!(self.mode, TlsMode::Disabled | TlsMode::Preferred)
    }
}

/// The name to begin TLS with towards `host`, a name or an address.
pub fn server_name(host: &str) -> ServerName<'static> {
    ServerName::try_from(host.to_owned())
        // Not a DNS name, such as a host with an underscore: good enough where the name is not verified.
        .unwrap_or_else(|_| ServerName::from(std::net::Ipv4Addr::UNSPECIFIED))
}

/// The server's side of TLS 1.2 and 1.3, from PEM texts of a certificate chain and its key.
pub fn server_config(certificate: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates(certificate, "server's")?, private_key(key)?)?;
    Ok(Arc::new(config))
}

/// A certificate that nobody signed, and its key, as PEM texts.
pub fn self_signed(names: &[String]) -> Result<(String, String), TlsError> {
    let made = rcgen::generate_simple_self_signed(names)?;
    Ok((made.cert.pem(), made.signing_key.serialize_pem()))
}

fn certificates(pem: &[u8], whose: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    chain.ok().filter(|chain| !chain.is_empty()).ok_or(TlsError::Certificate(whose))
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| TlsError::Key)
}

fn root_store(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem, "authority's")? {
        roots.add(certificate).map_err(|_| TlsError::Certificate("authority's"))?;
    }
    Ok(roots)
}

/// Decides whether a backend's certificate is trusted; that the peer owns its key is verified in every mode.
struct Trust {
    roots: Option<RootCertStore>,
    by_name: bool,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").field("roots", &self.roots).field("by_name", &self.by_name).finish_non_exhaustive()
    }
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(roots) = &self.roots {
            let parsed = ParsedCertificate::try_from(certificate)?;
            let algorithms = self.provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&parsed, roots, intermediates, now, algorithms)?;
            if self.by_name {
                verify_server_name(&parsed, name)?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
