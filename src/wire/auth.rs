//! The arithmetic of MySQL's passwords: scrambles, stored verifiers, SHA256-crypt and RSA.
//! It knows no packet and no account; it neither sends nor asks.
//!
//! - `mysql_native_password`: <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_authentication_methods_native_password_authentication.html>
//! - `caching_sha2_password`: <https://dev.mysql.com/doc/dev/mysql-server/latest/page_caching_sha2_authentication_exchanges.html>

use std::fmt::Write as _;
use std::sync::OnceLock;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Algorithm, Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand;
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey,
    PublicEncryptingKey,
};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;

use crate::wire::error::WireError;
use crate::wire::handshake::SCRAMBLE;

/// The authentication plugins that Shardloom speaks, at both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plugin {
    /// `mysql_native_password`: SHA-1; what MariaDB and older clients use.
    Native,
    /// `caching_sha2_password`: SHA-256; MySQL's default since 8.0.
    CachingSha2,
}

impl Plugin {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Plugin::Native => "mysql_native_password",
            Plugin::CachingSha2 => "caching_sha2_password",
        }
    }

    /// The plugin of that name, if it is one of ours.
    pub fn of_name(name: &[u8]) -> Option<Plugin> {
        [Plugin::Native, Plugin::CachingSha2].into_iter().find(|plugin| plugin.name().as_bytes() == name)
    }

    /// What a client answers to a scramble; nothing if its password is empty.
    pub fn answer(self, password: &[u8], scramble: &[u8; SCRAMBLE]) -> Vec<u8> {
        match self {
            _ if password.is_empty() => Vec::new(),
            Plugin::Native => {
                let once = sha1(&[password]);
                xor(once, &sha1(&[scramble, &sha1(&[&once])])).to_vec()
            }
            Plugin::CachingSha2 => {
                let once = sha256(&[password]);
                xor(once, &sha256(&[&sha256(&[&once]), scramble])).to_vec()
            }
        }
    }
}

/// A fresh scramble: random bytes of 1 to 127, which survive as C strings and in any character set.
pub fn fresh_scramble() -> Result<[u8; SCRAMBLE], WireError> {
    let mut bytes = [0; SCRAMBLE];
    rand::fill(&mut bytes).map_err(|_| WireError::Crypto("get random bytes"))?;
    // `$` ends the salt in a stored verifier; MySQL avoids it here as well.
    Ok(bytes.map(|b| match b & 0x7F {
        0 | b'$' => b'*',
        b => b,
    }))
}

/// What is stored instead of a password: enough to check one, and no more.
#[derive(Debug, Default)]
pub struct Verifier {
    sha2: Option<Sha2Verifier>,
    /// SHA1(SHA1(password)).
    native: Option<[u8; 20]>,
    /// Whether the password is empty.
    empty: bool,
}

/// The stored form of `caching_sha2_password`.
#[derive(Debug)]
struct Sha2Verifier {
    rounds: u32,
    salt: Vec<u8>,
    /// The 43 characters of the SHA256-crypt.
    hash: [u8; CRYPT],
    /// SHA256(SHA256(password)), known once somebody has sent the password: from then on a scramble is enough.
    fast: OnceLock<[u8; 32]>,
}

/// The characters of a SHA256-crypt.
const CRYPT: usize = 43;
/// MySQL's default number of rounds.
const ROUNDS: u32 = 5000;
/// The salt's bytes in MySQL's verifiers.
const SALT: usize = 20;

/// What is wrong with the text of a verifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadVerifier {
    /// Neither of the two forms.
    #[error("a password verifier begins with $A$005$ (caching_sha2_password) or * (mysql_native_password)")]
    Form,
    /// The number of rounds is not three hexadecimal digits above 000.
    #[error("the three digits behind $A$ must be a number of thousands of rounds, such as 005")]
    Rounds,
    /// Not 20 bytes of salt and 43 of hash.
    #[error("a caching_sha2_password verifier has 20 characters of salt and 43 of hash behind $A$005$")]
    Length,
    /// Not 40 hexadecimal digits.
    #[error("a mysql_native_password verifier has 40 hexadecimal digits behind *")]
    Hex,
}

impl Verifier {
    /// Reads verifiers as [`hash_password`] prints them and as MySQL stores them in `authentication_string`;
    /// several are separated by white space or commas. An empty text is the empty password.
    pub fn parse(text: &str) -> Result<Verifier, BadVerifier> {
        let mut verifier = Verifier { empty: text.is_empty(), ..Verifier::default() };
        let mut rest = text.trim_start_matches([' ', ',']);
        while !rest.is_empty() {
            // The salt may hold any character but NUL and `$`: only its length says where it ends.
            let len = if rest.starts_with("$A$") { 7 + SALT + CRYPT } else { 41 };
            let (one, behind) = rest.split_at_checked(len).unwrap_or((rest, ""));
            match one.strip_prefix("$A$") {
                Some(digits) => verifier.sha2 = Some(Sha2Verifier::parse(digits)?),
                None => verifier.native = Some(parse_native(one.strip_prefix('*').ok_or(BadVerifier::Form)?)?),
            }
            rest = behind.trim_start_matches([' ', ',']);
        }
        Ok(verifier)
    }

    /// Makes verifiers for both plugins from a password in clear, with the fast path open from the start.
    pub fn of_password(password: &[u8]) -> Result<Verifier, WireError> {
        if password.is_empty() {
            return Ok(Verifier { empty: true, ..Verifier::default() });
        }
        let sha2 = Sha2Verifier::of_password(password)?;
        let _ = sha2.fast.set(sha256(&[&sha256(&[password])]));
        Ok(Verifier { sha2: Some(sha2), native: Some(sha1(&[&sha1(&[password])])), empty: false })
    }

    /// A verifier that no password fits, for users who do not exist: checking it costs what a real one costs.
    pub fn decoy(native: bool) -> Result<Verifier, WireError> {
        let mut random = [0; 32];
        rand::fill(&mut random).map_err(|_| WireError::Crypto("get random bytes"))?;
        let mut sha2 =
            Sha2Verifier { rounds: ROUNDS, salt: random[..SALT].to_vec(), hash: [b'.'; CRYPT], fast: OnceLock::new() };
        // No crypt ends so: the last character stands for four bits only.
        sha2.hash[CRYPT - 1] = b'z';
        Ok(Verifier { sha2: Some(sha2), native: native.then_some([0; 20]), empty: false })
    }

    /// Whether accounts with this verifier can log in by `plugin`.
    pub fn serves(&self, plugin: Plugin) -> bool {
        self.empty
            || match plugin {
                Plugin::Native => self.native.is_some(),
                Plugin::CachingSha2 => self.sha2.is_some(),
            }
    }

    /// Whether the password is empty.
    pub fn is_empty(&self) -> bool {
        self.empty
    }

    /// Checks a client's answer to a scramble.
    pub fn check_answer(&self, plugin: Plugin, answer: &[u8], scramble: &[u8; SCRAMBLE]) -> Checked {
        if self.empty || answer.is_empty() {
            return if self.empty && answer.is_empty() { Checked::Right } else { Checked::Wrong };
        }
        match plugin {
            Plugin::Native => {
                let (Some(twice), Ok(answer)) = (self.native, <[u8; 20]>::try_from(answer)) else {
                    return Checked::Wrong;
                };
                let once = xor(answer, &sha1(&[scramble, &twice]));
                equal(&sha1(&[&once]), &twice)
            }
            Plugin::CachingSha2 => {
                let (Some(sha2), Ok(answer)) = (&self.sha2, <[u8; 32]>::try_from(answer)) else {
                    return Checked::Wrong;
                };
                // A wrong answer is no proof: MySQL asks for the password then, and so do we.
                match sha2.fast.get() {
                    Some(twice)
                        if equal(&sha256(&[&xor(answer, &sha256(&[twice, scramble]))]), twice) == Checked::Right =>
                    {
                        Checked::Right
                    }
                    _ => Checked::AskPassword,
                }
            }
        }
    }

    /// Checks a password sent whole, and opens the fast path if it is right. Costs some milliseconds by design.
    pub fn check_password(&self, password: &[u8]) -> bool {
        let Some(sha2) = &self.sha2 else {
            return self.empty && password.is_empty();
        };
        let right = equal(&sha256_crypt(password, &sha2.salt, sha2.rounds), &sha2.hash) == Checked::Right;
        if right {
            let _ = sha2.fast.set(sha256(&[&sha256(&[password])]));
        }
        right
    }
}

/// What a client's answer to a scramble proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// The client knows the password.
    Right,
    /// It does not.
    Wrong,
    /// Only the password itself can tell.
    AskPassword,
}

impl Sha2Verifier {
    fn parse(behind_type: &str) -> Result<Sha2Verifier, BadVerifier> {
        let digits = behind_type.get(..3).ok_or(BadVerifier::Rounds)?;
        let thousands = u32::from_str_radix(digits, 16).map_err(|_| BadVerifier::Rounds)?;
        if thousands == 0 || behind_type.as_bytes().get(3) != Some(&b'$') {
            return Err(BadVerifier::Rounds);
        }
        let (salt, hash) = behind_type.as_bytes()[4..].split_at_checked(SALT).ok_or(BadVerifier::Length)?;
        let hash = hash.try_into().map_err(|_| BadVerifier::Length)?;
        Ok(Sha2Verifier { rounds: thousands * 1000, salt: salt.to_vec(), hash, fast: OnceLock::new() })
    }

    fn of_password(password: &[u8]) -> Result<Sha2Verifier, WireError> {
        let mut salt = [0; SALT];
        rand::fill(&mut salt).map_err(|_| WireError::Crypto("get random bytes"))?;
        // Printable, so that it can stand in a configuration file: 120 bits of randomness remain.
        let salt = salt.map(|b| ALPHABET[usize::from(b & 63)]).to_vec();
        let hash = sha256_crypt(password, &salt, ROUNDS);
        Ok(Sha2Verifier { rounds: ROUNDS, salt, hash, fast: OnceLock::new() })
    }

    fn print(&self) -> String {
        let salt = String::from_utf8_lossy(&self.salt);
        format!("$A${:03X}${salt}{}", self.rounds / 1000, String::from_utf8_lossy(&self.hash))
    }
}

fn parse_native(hex: &str) -> Result<[u8; 20], BadVerifier> {
    let mut bytes = [0; 20];
    if hex.len() != 40 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(BadVerifier::Hex);
    }
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).map_err(|_| BadVerifier::Hex)?;
    }
    Ok(bytes)
}

/// The verifiers of a password, to be stored: for caching_sha2_password and for mysql_native_password.
pub fn hash_password(password: &[u8]) -> Result<(String, String), WireError> {
    let mut native = String::from("*");
    for byte in sha1(&[&sha1(&[password])]) {
        let _ = write!(native, "{byte:02X}");
    }
    Ok((Sha2Verifier::of_password(password)?.print(), native))
}

// Hashes.

fn hash<const N: usize>(algorithm: &'static Algorithm, parts: &[&[u8]]) -> [u8; N] {
    let mut context = Context::new(algorithm);
    for part in parts {
        context.update(part);
    }
    let mut out = [0; N];
    out.copy_from_slice(context.finish().as_ref());
    out
}

fn sha1(parts: &[&[u8]]) -> [u8; 20] {
    hash(&SHA1_FOR_LEGACY_USE_ONLY, parts)
}

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    hash(&SHA256, parts)
}

fn xor<const N: usize>(mut a: [u8; N], b: &[u8; N]) -> [u8; N] {
    a.iter_mut().zip(b).for_each(|(a, b)| *a ^= b);
    a
}

fn equal(a: &[u8], b: &[u8]) -> Checked {
    if verify_slices_are_equal(a, b).is_ok() { Checked::Right } else { Checked::Wrong }
}

const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// SHA256-crypt by Ulrich Drepper (<https://www.akkadia.org/drepper/SHA-crypt.txt>), with MySQL's longer salt.
fn sha256_crypt(password: &[u8], salt: &[u8], rounds: u32) -> [u8; CRYPT] {
    let repeat = |block: &[u8; 32], len: usize| block.iter().copied().cycle().take(len).collect::<Vec<u8>>();
    let b = sha256(&[password, salt, password]);
    let mut context = Context::new(&SHA256);
    context.update(password);
    context.update(salt);
    context.update(&repeat(&b, password.len()));
    let mut bits = password.len();
    while bits > 0 {
        context.update(if bits & 1 == 1 { &b } else { password });
        bits >>= 1;
    }
    let mut a = [0; 32];
    a.copy_from_slice(context.finish().as_ref());

    let p = repeat(&sha256(&vec![password; password.len()]), password.len());
    let s = repeat(&sha256(&vec![salt; 16 + usize::from(a[0])]), salt.len());
    for round in 0..rounds {
        let odd = round & 1 == 1;
        let mut context = Context::new(&SHA256);
        context.update(if odd { &p } else { &a });
        if round % 3 != 0 {
            context.update(&s);
        }
        if round % 7 != 0 {
            context.update(&p);
        }
        context.update(if odd { &a } else { &p });
        a.copy_from_slice(context.finish().as_ref());
    }
    crypt_base64(&a)
}

/// The order in which SHA256-crypt writes its bytes, six bits a character.
fn crypt_base64(a: &[u8; 32]) -> [u8; CRYPT] {
    let mut out = [0; CRYPT];
    let mut at = 0;
    let mut put = |mut bits: u32, characters: usize| {
        for _ in 0..characters {
            out[at] = ALPHABET[(bits & 63) as usize];
            bits >>= 6;
            at += 1;
        }
    };
    let (mut i, mut j, mut k) = (0, 10, 20);
    for _ in 0..10 {
        put(u32::from(a[i]) << 16 | u32::from(a[j]) << 8 | u32::from(a[k]), 4);
        (i, j, k) = (k + 1, i + 1, j + 1);
    }
    put(u32::from(a[31]) << 8 | u32::from(a[30]), 3);
    out
}

// RSA, for passwords over a connection that others can read.

/// The server's key pair, by which clients without TLS encrypt their passwords.
pub struct RsaKey {
    private: OaepPrivateDecryptingKey,
    public_pem: String,
}

impl RsaKey {
    /// Makes a key pair of 2048 bits; costs some tenths of a second.
    pub fn generate() -> Result<RsaKey, WireError> {
        let failed = |_| WireError::Crypto("make an RSA key");
        let key = PrivateDecryptingKey::generate(KeySize::Rsa2048).map_err(failed)?;
        let der = AsDer::<PublicKeyX509Der<'_>>::as_der(&key.public_key()).map_err(failed)?;
        let public_pem = pem("PUBLIC KEY", der.as_ref());
        Ok(RsaKey { private: OaepPrivateDecryptingKey::new(key).map_err(failed)?, public_pem })
    }

    /// The public key as PEM.
    pub fn public_pem(&self) -> &str {
        &self.public_pem
    }

    /// The password that a client encrypted; nothing if it was not encrypted by this key and scramble.
    pub fn decrypt(&self, ciphertext: &[u8], scramble: &[u8; SCRAMBLE]) -> Option<Vec<u8>> {
        let mut buffer = vec![0; self.private.min_output_size()];
        let plain = self.private.decrypt(&OAEP_SHA1_MGF1SHA1, ciphertext, &mut buffer, None).ok()?;
        let (zero, password) = masked(plain, scramble).split_last().map(|(&z, p)| (z, p.to_vec()))?;
        (zero == 0).then_some(password)
    }
}

/// Encrypts a password by a server's public key.
pub fn encrypt_password(password: &[u8], scramble: &[u8; SCRAMBLE], public_pem: &[u8]) -> Result<Vec<u8>, WireError> {
    let unusable = || WireError::Crypto("use the server's public key");
    let der = SubjectPublicKeyInfoDer::from_pem_slice(public_pem).map_err(|_| unusable())?;
    let key = PublicEncryptingKey::from_der(der.as_ref()).map_err(|_| unusable())?;
    let key = OaepPublicEncryptingKey::new(key).map_err(|_| unusable())?;
    let plain = masked(&[password, &[0]].concat(), scramble);
    let mut buffer = vec![0; key.ciphertext_size()];
    let ciphertext = key.encrypt(&OAEP_SHA1_MGF1SHA1, &plain, &mut buffer, None);
    Ok(ciphertext.map_err(|_| WireError::Crypto("encrypt a password of this length"))?.to_vec())
}

fn masked(bytes: &[u8], scramble: &[u8; SCRAMBLE]) -> Vec<u8> {
    bytes.iter().zip(scramble.iter().cycle()).map(|(a, b)| a ^ b).collect()
}

fn pem(label: &str, der: &[u8]) -> String {
    const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in der.chunks(48) {
        for three in line.chunks(3) {
            let bits = three.iter().fold(0, |bits, &b| bits << 8 | u32::from(b)) << (8 * (3 - three.len()));
            for i in 0..4 {
                let letter = BASE64[(bits >> (18 - 6 * i) & 63) as usize];
                text.push(if i > three.len() { '=' } else { char::from(letter) });
            }
        }
        text.push('\n');
    }
    text + "-----END " + label + "-----\n"
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn sha256_crypt_is_that_of_libc() {
        for (salt, rounds, password, crypt) in [
            ("saltstring", 5000, "Hello world!", "5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"),
            ("saltstring", 5000, "", "FdNfA4gXqvCeO6iZs7G/.wwwoywYZqo0l1pwmfWaBA7"),
            ("short", 5000, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "Z206VKm9xLldFubueFBqnehFum0tlHo3Ye6Ij0J6fs2"),
            ("short", 5000, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "fX54kFIcDvmtt8/tzzQLMdbotIdiHPQX3ANcQGY9s08"),
            (
                "anotherlongsalts",
                1400,
                "a very much longer text to encrypt.  This one even stretches over morethan one line.",
                "Rx.j8H.h8HjEDGomFU8bDkXm3XIUnzyxf12oP84Bnq1",
            ),
        ] {
            let got = sha256_crypt(password.as_bytes(), salt.as_bytes(), rounds);
            assert_eq!(String::from_utf8_lossy(&got), crypt);
        }
    }

    const SCRAMBLED: &[u8; SCRAMBLE] = b"abcdefghijklmnopqrst";

    #[test]
    fn verifiers_are_read_as_they_are_stored() {
        let (sha2, native) = hash_password(b"secret").unwrap();
        assert_eq!(native, "*14E65567ABDB5135D0CFD9A70B3032C179A49EE7");
        assert!(sha2.starts_with("$A$005$") && sha2.len() == 70 && sha2.bytes().all(|b| b.is_ascii_graphic()));
        for (text, serves_native, serves_sha2) in [
            (sha2.clone(), false, true),
            (native.clone(), true, false),
            (format!("{sha2}, {native}"), true, true),
            (format!("{native}\n{sha2}").replace('\n', " "), true, true),
            (String::new(), true, true),
        ] {
            let verifier = Verifier::parse(&text).unwrap();
            assert_eq!(verifier.serves(Plugin::Native), serves_native, "{text}");
            assert_eq!(verifier.serves(Plugin::CachingSha2), serves_sha2, "{text}");
        }
        // The salt may hold the characters that separate verifiers.
        let odd = format!("$A$005$ , , , , , , , , , ,{}", &sha2[27..]);
        assert!(Verifier::parse(&format!("{odd},{native}")).unwrap().serves(Plugin::Native));
        for (text, bad) in [
            ("secret", BadVerifier::Form),
            ("*14E65567", BadVerifier::Hex),
            ("*14E65567ABDB5135D0CFD9A70B3032C179A49EEx", BadVerifier::Hex),
            ("$A$000$01234567890123456789", BadVerifier::Rounds),
            ("$A$xyz$01234567890123456789", BadVerifier::Rounds),
            ("$A$005", BadVerifier::Rounds),
            ("$A$005$tooshort", BadVerifier::Length),
            (&sha2[..69], BadVerifier::Length),
            (&format!("{sha2}x"), BadVerifier::Form),
        ] {
            assert_eq!(Verifier::parse(text).unwrap_err(), bad, "{text}");
        }
    }

    #[test]
    fn answers_are_checked_and_the_fast_path_opens() {
        let (sha2, native) = hash_password(b"secret").unwrap();
        let verifier = Verifier::parse(&format!("{sha2}, {native}")).unwrap();
        let answer = |plugin: Plugin, password: &str| plugin.answer(password.as_bytes(), SCRAMBLED);
        let check = |plugin, answer: &[u8]| verifier.check_answer(plugin, answer, SCRAMBLED);
        assert_eq!(check(Plugin::Native, &answer(Plugin::Native, "secret")), Checked::Right);
        assert_eq!(check(Plugin::Native, &answer(Plugin::Native, "Secret")), Checked::Wrong);
        assert_eq!(check(Plugin::Native, b"short"), Checked::Wrong);
        assert_eq!(check(Plugin::Native, b""), Checked::Wrong);
        let right = answer(Plugin::CachingSha2, "secret");
        assert_eq!(check(Plugin::CachingSha2, &right), Checked::AskPassword);
        assert!(!verifier.check_password(b"wrong"));
        assert_eq!(check(Plugin::CachingSha2, &right), Checked::AskPassword);
        assert!(verifier.check_password(b"secret"));
        assert_eq!(check(Plugin::CachingSha2, &right), Checked::Right);
        assert_eq!(check(Plugin::CachingSha2, &answer(Plugin::CachingSha2, "wrong")), Checked::AskPassword);
        assert_eq!(verifier.check_answer(Plugin::CachingSha2, &right, b"yet another scramble"), Checked::AskPassword);

        let empty = Verifier::parse("").unwrap();
        assert_eq!(empty.check_answer(Plugin::Native, b"", SCRAMBLED), Checked::Right);
        assert_eq!(empty.check_answer(Plugin::CachingSha2, &right, SCRAMBLED), Checked::Wrong);
        for native in [false, true] {
            let decoy = Verifier::decoy(native).unwrap();
            assert!(!decoy.check_password(b"") && !decoy.check_password(b"secret"));
            assert_eq!(decoy.check_answer(Plugin::Native, &answer(Plugin::Native, ""), SCRAMBLED), Checked::Wrong);
        }
    }

    #[test]
    fn passwords_pass_by_rsa() {
        let key = RsaKey::generate().unwrap();
        for password in [&b""[..], b"secret", &[7; 200]] {
            let sent = encrypt_password(password, SCRAMBLED, key.public_pem().as_bytes()).unwrap();
            assert_eq!(key.decrypt(&sent, SCRAMBLED).unwrap(), password);
            assert_ne!(key.decrypt(&sent, b"yet another scramble").as_deref(), Some(password));
        }
        assert!(key.decrypt(b"not encrypted", SCRAMBLED).is_none());
        assert!(encrypt_password(&[7; 250], SCRAMBLED, key.public_pem().as_bytes()).is_err());
        assert!(encrypt_password(b"secret", SCRAMBLED, b"no key").is_err());
    }

    #[test]
    fn scrambles_are_c_strings() {
        for _ in 0..200 {
            assert!(fresh_scramble().unwrap().iter().all(|&b| (1..0x80).contains(&b) && b != b'$'));
        }
    }
}
