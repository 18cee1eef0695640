//! Septets side by side in octets. GSM 03.38 §6.1.2.1; fill bits: GSM 03.40 §9.2.3.24.

/// The carriage return, which fills seven spare bits: as zeros they would read as one more `@`.
const FILLER: u8 = 0x0d;

/// Packs septets, the first into the low bits of the first octet, behind `fill_bits` (0 to 6) zero
/// bits, which bring a text behind a user data header to a septet boundary. Bits above a septet are
/// ignored.
///
/// The octets do not say how many septets there are. Where seven bits are left over they hold a
/// carriage return, as GSM 03.38 §6.1.2.3.1 has it for USSD; where the text itself ends at the end of
/// an octet with a character that could be taken for filling, a carriage return follows it.
#[must_use]
pub fn pack(septets: &[u8], fill_bits: u8) -> Vec<u8> {
    let mut packer = Packer::after(fill_bits);
    for septet in septets {
        packer.push(*septet);
    }
    let looks_filled = packer.bits == 0 && septets.last().is_some_and(|last| is_filling(*last));
    if packer.bits == 1 || looks_filled {
        packer.push(FILLER);
    }
    packer.finish()
}

/// The septets that the octets hold behind `fill_bits` (0 to 6) bits, without the filling at their
/// end: a text comes back as it was packed, but for a carriage return at its end.
#[must_use]
pub fn unpack(octets: &[u8], fill_bits: u8) -> Vec<u8> {
    let mut septets = Vec::with_capacity(octets.len().saturating_add(octets.len() / 7));
    let mut fill = fill_bits % 7;
    let (mut held, mut bits) = (0_u16, 0_u8);
    for octet in octets {
        held |= shifted(*octet, bits);
        bits = bits.saturating_add(8).saturating_sub(fill);
        held >>= fill;
        fill = 0;
        while bits >= 7 {
            septets.push(low(held) & 0x7f);
            held >>= 7;
            bits = bits.saturating_sub(7);
        }
    }
    let filled = match (bits, septets.as_slice()) {
        (0, [.., last]) | (1, [.., last, FILLER]) => is_filling(*last),
        _ => false,
    };
    if filled {
        septets.pop();
    }
    septets
}

fn is_filling(septet: u8) -> bool {
    matches!(septet & 0x7f, 0 | FILLER)
}

/// The octet above `bits` (0 to 7) others.
fn shifted(octet: u8, bits: u8) -> u16 {
    u16::from(octet).wrapping_shl(u32::from(bits))
}

fn low(held: u16) -> u8 {
    let [_, low] = held.to_be_bytes();
    low
}

/// Octets, and up to 7 bits that do not make one yet.
struct Packer {
    octets: Vec<u8>,
    held: u16,
    bits: u8,
}

impl Packer {
    const fn after(fill_bits: u8) -> Self {
        Self {
            octets: Vec::new(),
            held: 0,
            bits: fill_bits % 7,
        }
    }

    fn push(&mut self, septet: u8) {
        self.held |= shifted(septet & 0x7f, self.bits);
        self.bits = self.bits.saturating_add(7);
        if self.bits >= 8 {
            self.octets.push(low(self.held));
            self.held >>= 8;
            self.bits = self.bits.saturating_sub(8);
        }
    }

    fn finish(mut self) -> Vec<u8> {
        if self.bits > 0 {
            self.octets.push(low(self.held));
        }
        self.octets
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn septets_are_packed_as_the_standard_shows() {
        assert_eq!(pack(b"hellohello", 0), hex("e8329bfd4697d9ec37"));
        assert_eq!(unpack(&hex("e8329bfd4697d9ec37"), 0), b"hellohello");
        assert_eq!(pack(b"1", 0), [0x31]);
        assert_eq!(pack(&[], 0), [0; 0]);
    }

    #[test]
    fn a_text_behind_a_header_begins_at_a_septet() {
        // Behind a header of six octets one bit is left to the seventh septet.
        assert_eq!(pack(b"a", 1), [0xc2]);
        assert_eq!(unpack(&[0xc2], 1), b"a");
    }

    #[test]
    fn seven_spare_bits_are_not_one_more_character() {
        assert_eq!(unpack(&pack(b"1234567", 0), 0), b"1234567");
        let mut zeros = pack(b"1234567", 0);
        *zeros.last_mut().unwrap() &= 1;
        assert_eq!(
            unpack(&zeros, 0),
            b"1234567",
            "a peer that fills with zeros"
        );
        assert_eq!(unpack(&pack(b"1234567\0", 0), 0), b"1234567\0");
        assert_eq!(unpack(&pack(b"1234567\r", 0), 0), b"1234567\r");
    }

    fn hex(digits: &str) -> Vec<u8> {
        crate::tests::hex(digits).to_vec()
    }

    proptest! {
        #[test]
        fn septets_survive_packing(septets in vec(0..0x80_u8, 0..60), fill_bits in 0..7_u8) {
            prop_assume!(septets.last() != Some(&FILLER));
            prop_assert_eq!(unpack(&pack(&septets, fill_bits), fill_bits), septets);
        }

        #[test]
        fn packing_takes_seven_bits_a_septet(septets in vec(1..0x0d_u8, 0..60), fill_bits in 0..7_u8) {
            let bits = usize::from(fill_bits) + septets.len() * 7;
            prop_assert_eq!(pack(&septets, fill_bits).len(), bits.div_ceil(8));
        }

        #[test]
        fn any_octets_unpack_to_septets(octets in vec(any::<u8>(), 0..60), fill_bits: u8) {
            prop_assert!(unpack(&octets, fill_bits).iter().all(|septet| *septet < 0x80));
        }
    }
}
