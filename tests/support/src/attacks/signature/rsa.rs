//! Other paddings than the algorithm's, made directly from the numbers (RFC 8017).

use aws_lc_rs::digest::{self, Algorithm as Hash, digest};
use gatepass::keys::Algorithm;
use num_bigint::BigUint;
use pkcs1::{RsaPrivateKeyRef, der::Decode};
use pkcs8::PrivateKeyInfoRef;

use super::{Signed, Table, Victim};
use crate::forge::{Forge, der_of};

const HASHES: [&Hash; 3] = [&digest::SHA256, &digest::SHA384, &digest::SHA512];

/// A DigestInfo without the hash.
fn info(hash: &Hash) -> Vec<u8> {
    let length = u8::try_from(hash.output_len()).unwrap();
    let oid = [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, length / 16 - 1];
    let head = [0x30, length + 17, 0x30, 13, 6, 9];
    [&head[..], &oid, &[5, 0, 4, length]].concat()
}

struct Bare {
    n: BigUint,
    d: BigUint,
    length: usize,
}

impl Bare {
    fn of(forge: &Forge) -> Self {
        let der = der_of(&forge.material);
        let info = PrivateKeyInfoRef::try_from(der.as_slice()).unwrap();
        let key = RsaPrivateKeyRef::from_der(info.private_key.as_bytes()).unwrap();
        let number = |of: pkcs1::UintRef<'_>| BigUint::from_bytes_be(of.as_bytes());
        Self {
            n: number(key.modulus),
            d: number(key.private_exponent),
            length: key.modulus.as_bytes().len(),
        }
    }

    fn bytes(&self, number: &BigUint) -> Vec<u8> {
        let bytes = number.to_bytes_be();
        [vec![0; self.length.saturating_sub(bytes.len())], bytes].concat()
    }

    /// The signature whose public-key power is `encoded`.
    fn sign(&self, encoded: &[u8]) -> Vec<u8> {
        assert_eq!(encoded.len(), self.length);
        self.bytes(&BigUint::from_bytes_be(encoded).modpow(&self.d, &self.n))
    }

    /// EMSA-PKCS1-v1_5 (§9.2) of any DigestInfo.
    fn pkcs1(&self, block: u8, filler: u8, info: &[u8]) -> Vec<u8> {
        let fill = vec![filler; self.length - 3 - info.len()];
        [&[0, block], &fill[..], &[0], info].concat()
    }

    /// EMSA-PSS (§9.1.1).
    fn pss(&self, pss: &Pss, message: &[u8]) -> Vec<u8> {
        let hash = digest(pss.hash, message);
        let salt = vec![0x5a; pss.salt];
        let h = digest(pss.hash, &[&[0; 8], hash.as_ref(), &salt[..]].concat());
        let db_length = self.length - h.as_ref().len() - 1;
        let mut db = vec![0; db_length - pss.salt - 1];
        db.push(pss.separator);
        db.extend(salt);
        let mask = (0u32..).flat_map(|counter| {
            let seed = [h.as_ref(), &counter.to_be_bytes()].concat();
            digest(pss.mask, &seed).as_ref().to_vec()
        });
        for (byte, mask) in db.iter_mut().zip(mask) {
            *byte ^= mask;
        }
        db[0] &= 0x7f;
        [&db[..], h.as_ref(), &[pss.trailer]].concat()
    }
}

struct Pss {
    hash: &'static Hash,
    mask: &'static Hash,
    salt: usize,
    separator: u8,
    trailer: u8,
}

pub(super) fn attacks(table: &mut Table, victim: &Victim) {
    let own = victim.algorithm();
    let hash = match &own.name()[2..] {
        "256" => &digest::SHA256,
        "384" => &digest::SHA384,
        _ => &digest::SHA512,
    };
    let bare = Bare::of(&victim.forge);
    let mut signed = Signed::new(table, victim);
    numbers(&mut signed, victim, &bare);
    for algorithm in Algorithm::ALL {
        let name = algorithm.name();
        if (name.starts_with("RS") || name.starts_with("PS")) && algorithm != own {
            let other = Forge::new(algorithm, &victim.forge.material);
            let signature = other.signature(signed.message);
            signed.bad(format!("by {name}"), &signature);
            signed.bad(
                format!("by {name}, behind a zero byte"),
                [&[0], &signature[..]].concat(),
            );
        }
    }
    let with_salt = |salt| Pss {
        hash,
        mask: hash,
        salt,
        separator: 1,
        trailer: 0xbc,
    };
    let message = signed.message.as_bytes();
    let infos = [&info(hash)[..], digest(hash, message).as_ref()].concat();
    let pkcs1 = bare.sign(&bare.pkcs1(1, 0xff, &infos));
    let pss = bare.sign(&bare.pss(&with_salt(hash.output_len()), message));
    // The right padding makes a valid signature, so each wrong signature below has only one fault.
    if own.name().starts_with("RS") {
        signed.good("made from the bare numbers", pkcs1);
        paddings(&mut signed, &bare, hash, &infos);
    } else {
        signed.good("made from the bare numbers", pss);
        salts(&mut signed, &bare, hash, with_salt);
    }
}

fn numbers(signed: &mut Signed<'_>, victim: &Victim, bare: &Bare) {
    // A signature to which the modulus can be added in the same number of bytes, if the padding is
    // random and the search finds one.
    let fits = |good: &Vec<u8>| (BigUint::from_bytes_be(good) + &bare.n).bits() <= bare.n.bits();
    let mut tries = (0..100).map(|_| victim.forge.signature(signed.message));
    let found = tries.find(fits);
    let good = found.unwrap_or_else(|| victim.forge.signature(signed.message));
    let number = BigUint::from_bytes_be(&good);
    let stripped = number.to_bytes_be();
    for (name, number) in [
        ("0", BigUint::ZERO),
        ("1", BigUint::from(1u8)),
        ("n - 1", &bare.n - 1u8),
        ("n", bare.n.clone()),
        ("n + 1", &bare.n + 1u8),
        ("n - s", &bare.n - &number),
        ("s + n", &number + &bare.n),
        ("s + 2n", &number + &bare.n * 2u8),
    ] {
        signed.bad(format!("the number {name}"), bare.bytes(&number));
    }
    signed.bad(
        "without padding",
        bare.bytes(&BigUint::from_bytes_be(signed.message.as_bytes()).modpow(&bare.d, &bare.n)),
    );
    let turned: Vec<u8> = good.iter().rev().copied().collect();
    signed.bad("little-endian", turned);
    signed.bad(
        "as a DER integer",
        [&[2, 0x82, 1, 1, 0], &stripped[..]].concat(),
    );
    let in_bits = [&[3, 0x82, 1, 1, 0], &good[..]].concat();
    signed.bad("in a bit string", in_bits);
}

fn paddings(signed: &mut Signed<'_>, bare: &Bare, hash: &'static Hash, infos: &[u8]) {
    let message = signed.message.as_bytes();
    let hashed = digest(hash, message);
    let hashed = hashed.as_ref();
    let length = u8::try_from(hashed.len()).unwrap();
    let oid = &info(hash)[6..15];
    let no_null = [
        &[0x30, length + 15, 0x30, 11, 6, 9],
        oid,
        &[4, length],
        hashed,
    ]
    .concat();
    let long_form = [&[0x30, 0x81, length + 17], &infos[2..]].concat();
    let with_junk = [
        &[0x30, length + 21, 0x30, 17, 6, 9],
        oid,
        &[4, 4, 1, 2, 3, 4, 4, length],
        hashed,
    ]
    .concat();
    let one_byte_off = [&infos[..infos.len() - 1], &[infos.last().unwrap() ^ 1]].concat();
    for (name, info) in [
        ("no digest information", hashed.to_vec()),
        ("no parameters", no_null),
        ("a long length", long_form),
        ("junk for parameters", with_junk),
        ("a byte of the hash off", one_byte_off),
        ("the message itself", message[..200].to_vec()),
        ("something behind the hash", [infos, b"\0"].concat()),
    ] {
        let signature = bare.sign(&bare.pkcs1(1, 0xff, &info));
        signed.bad(format!("PKCS #1 with {name}"), signature);
    }
    for other in HASHES {
        if other.output_len() == hash.output_len() {
            continue;
        }
        let another = digest(other, message);
        let fitting = [&info(other)[..], another.as_ref()].concat();
        let signature = bare.sign(&bare.pkcs1(1, 0xff, &fitting));
        signed.bad(format!("PKCS #1 with {other:?}"), signature);
        let lying = [&info(other)[..], hashed].concat();
        let signature = bare.sign(&bare.pkcs1(1, 0xff, &lying));
        signed.bad(format!("PKCS #1 that says {other:?}"), signature);
    }
    // The padding is at the front, for readers that look for the hash and ignore the bytes after
    // it.
    let short = [&[0, 1][..], &[0xff; 8], &[0], infos].concat();
    let garbage = [&short[..], &vec![0x5a; bare.length - short.len()]].concat();
    let mut dirty = bare.pkcs1(1, 0xff, infos);
    dirty[40] = 0xfe;
    let mut endless = bare.pkcs1(1, 0xff, infos);
    endless[bare.length - infos.len() - 1] = 0xff;
    let mut large = bare.pkcs1(1, 0xff, infos);
    large[0] = 1;
    for (name, encoded) in [
        ("block type 0", bare.pkcs1(0, 0, infos)),
        ("block type 0 and ones", bare.pkcs1(0, 0xff, infos)),
        ("block type 2", bare.pkcs1(2, 0xff, infos)),
        ("zeros for ones", bare.pkcs1(1, 0, infos)),
        ("a short padding and garbage behind", garbage),
        ("a byte of the padding off", dirty),
        ("no end of the padding", endless),
        ("a first byte that is not zero", large),
    ] {
        let signature = bare.sign(&encoded);
        signed.bad(format!("PKCS #1 with {name}"), signature);
    }
}

fn salts(
    signed: &mut Signed<'_>,
    bare: &Bare,
    hash: &'static Hash,
    with_salt: impl Fn(usize) -> Pss,
) {
    let message = signed.message.as_bytes();
    let own = hash.output_len();
    let most = bare.length - own - 2;
    for salt in [0, 1, 20, own - 1, own + 1, 2 * own, most] {
        if salt != own {
            let signature = bare.sign(&bare.pss(&with_salt(salt), message));
            signed.bad(format!("PSS with a salt of {salt}"), signature);
        }
    }
    for other in HASHES {
        if other.output_len() == own {
            continue;
        }
        let masked = Pss {
            mask: other,
            ..with_salt(own)
        };
        let hashed = Pss {
            hash: other,
            ..with_salt(own)
        };
        for (name, pss) in [("mask", masked), ("hash", hashed)] {
            let signature = bare.sign(&bare.pss(&pss, message));
            signed.bad(format!("PSS with {other:?} for a {name}"), signature);
        }
    }
    for (name, pss) in [
        (
            "another trailer",
            Pss {
                trailer: 0xcc,
                ..with_salt(own)
            },
        ),
        (
            "no separator",
            Pss {
                separator: 0,
                ..with_salt(own)
            },
        ),
    ] {
        let signature = bare.sign(&bare.pss(&pss, message));
        signed.bad(format!("PSS with {name}"), signature);
    }
    let mut high = bare.pss(&with_salt(own), message);
    high[0] |= 0x80;
    signed.bad("PSS with its top bit", bare.sign(&high));
}
