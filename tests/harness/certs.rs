//! Owns the certificates of a test: a CA, a good leaf, and the bad ones that a client must refuse.
//! Must not know which server or client uses them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

/// A certificate and its key, both PEM; the key is unencrypted PKCS #8 on P-256.
#[derive(Debug, Clone)]
pub struct Leaf {
    /// The certificate alone; its issuer is [`Certs::ca`].
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// PEM files in one folder.
#[derive(Debug, Clone)]
pub struct Certs {
    /// The CA that signed every leaf here.
    pub ca: PathBuf,
    /// A CA that signed none of them.
    pub wrong_ca: PathBuf,
    /// For `localhost` and 127.0.0.1, valid.
    pub server: Leaf,
    /// As `server`, but over since 2021.
    pub expired: Leaf,
    /// Valid, but for `elsewhere.invalid`.
    pub wrong_name: Leaf,
    /// A client's certificate, for mutual TLS.
    pub client: Leaf,
}

impl Certs {
    /// Makes fresh keys and certificates and writes them into `folder`.
    pub fn write(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let local = || CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]);
        let (ca_pem, ca) = authority("fintail tests CA")?;
        let (wrong_ca_pem, _) = authority("fintail tests wrong CA")?;

        let mut expired = local()?;
        expired.not_before = date_time_ymd(2020, 1, 1);
        expired.not_after = date_time_ymd(2021, 1, 1);
        let wrong_name = CertificateParams::new(["elsewhere.invalid".to_owned()])?;
        let mut client = CertificateParams::new([])?;
        client.distinguished_name.push(DnType::CommonName, "fintail tests client");
        client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];

        Ok(Self {
            ca: file(folder, "ca.crt", &ca_pem)?,
            wrong_ca: file(folder, "wrong-ca.crt", &wrong_ca_pem)?,
            server: leaf(folder, "server", &local()?, &ca)?,
            expired: leaf(folder, "expired", &expired, &ca)?,
            wrong_name: leaf(folder, "wrong-name", &wrong_name, &ca)?,
            client: leaf(folder, "client", &client, &ca)?,
        })
    }
}

fn authority(name: &str) -> Result<(String, Issuer<'static, KeyPair>)> {
    let mut params = CertificateParams::new([])?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate()?;
    let pem = params.self_signed(&key)?.pem();
    Ok((pem, Issuer::new(params, key)))
}

fn leaf(folder: &Path, name: &str, params: &CertificateParams, ca: &Issuer<'_, KeyPair>) -> Result<Leaf> {
    let key = KeyPair::generate()?;
    let cert = params.signed_by(&key, ca)?;
    Ok(Leaf {
        cert: file(folder, &format!("{name}.crt"), &cert.pem())?,
        key: file(folder, &format!("{name}.key"), &key.serialize_pem())?,
    })
}

fn file(folder: &Path, name: &str, content: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    fs::write(&path, content).with_context(|| path.display().to_string())?;
    Ok(path)
}
