//! Finds the RSA keys of faulty chips (ROCA, CVE-2017-15361).
//!
//! The chips chose primes of the form `k * M + (65537^a mod M)`. `M` is the product of the first
//! primes, for example of 126 primes for a key of 2048 bits. So such a modulus is a power of 65537
//! modulo each of them, and an attacker can factor it. Another modulus looks like one with a
//! probability of 2^-154.

/// The odd primes that divide `M` for a key of any length.
const PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
    101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/// The exponents that give a number as a power of 65537, modulo a prime: `least`, and all that
/// differ from it by a multiple of `order`.
struct Exponents {
    least: u32,
    order: u32,
}

/// Whether `modulus` is a power of 65537 modulo all the primes.
pub(super) fn is_roca(modulus: &[u8]) -> bool {
    let mut found: Vec<Exponents> = Vec::new();
    PRIMES.iter().all(|prime| {
        let Some(new) = Exponents::of(modulus, *prime) else {
            return false;
        };
        // One exponent must fit for all the primes.
        let fits = found.iter().all(|old| old.agrees_with(&new));
        found.push(new);
        fits
    })
}

impl Exponents {
    fn of(number: &[u8], prime: u32) -> Option<Self> {
        let digits = number.iter().map(|digit| u32::from(*digit));
        let rest = digits.fold(0, |rest, digit| (rest * 256 + digit) % prime);
        let (mut power, mut exponent, mut least) = (1, 0, None);
        loop {
            if power == rest {
                least = Some(exponent);
            }
            power = power * (65537 % prime) % prime;
            exponent += 1;
            if power == 1 {
                let order = exponent;
                return least.map(|least| Self { least, order });
            }
        }
    }

    /// Whether a number is in both (the Chinese remainder theorem).
    fn agrees_with(&self, other: &Self) -> bool {
        let (mut divisor, mut rest) = (self.order, other.order);
        while rest != 0 {
            (divisor, rest) = (rest, divisor % rest);
        }
        self.least % divisor == other.least % divisor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_of_65537_is_found() {
        assert!(is_roca(&[1]));
        assert!(is_roca(&[1, 0, 1]));
        // The fifth.
        assert!(is_roca(&[1, 0, 5, 0, 10, 0, 10, 0, 5, 0, 1]));
    }

    #[test]
    fn another_number_is_not() {
        assert!(!is_roca(&[]));
        assert!(!is_roca(&[2]));
        assert!(!is_roca(&[0xff; 256]));
        // 65537 modulo 167, and 1 modulo the other primes: each is a power, but not the same one.
        let mixed = [
            0x07, 0xc6, 0x60, 0x84, 0x88, 0x33, 0x20, 0x41, 0xf8, 0xf2, 0xb0, 0x02, 0xcf, 0x9b,
            0xd2, 0xa8, 0x32, 0x2d, 0xd0, 0x5f, 0xa2, 0x83, 0xe0, 0x53, 0xf3, 0xa0, 0x20, 0x0d,
        ];
        let is_power = |prime: &u32| Exponents::of(&mixed, *prime).is_some();
        assert!(PRIMES.iter().all(is_power));
        assert!(!is_roca(&mixed));
    }
}
