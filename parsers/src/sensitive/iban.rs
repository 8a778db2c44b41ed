//! IBAN (ISO 13616): country lengths and BBAN forms of the SWIFT registry, and the mod-97 check.
//! It must not know what key or text stands around the number.

use super::byte_at;

/// Country, length of the whole IBAN, BBAN form: n digits, a letters, c either.
const REGISTRY: &[(&[u8; 2], u8, &str)] = &[
    (b"AD", 24, "8n12c"),
    (b"AE", 23, "19n"),
    (b"AL", 28, "8n16c"),
    (b"AT", 20, "16n"),
    (b"AZ", 28, "4a20c"),
    (b"BA", 20, "16n"),
    (b"BE", 16, "12n"),
    (b"BG", 22, "4a6n8c"),
    (b"BH", 22, "4a14c"),
    (b"BI", 27, "23n"),
    (b"BR", 29, "23n1a1c"),
    (b"BY", 28, "4c4n16c"),
    (b"CH", 21, "5n12c"),
    (b"CR", 22, "18n"),
    (b"CY", 28, "8n16c"),
    (b"CZ", 24, "20n"),
    (b"DE", 22, "18n"),
    (b"DJ", 27, "23n"),
    (b"DK", 18, "14n"),
    (b"DO", 28, "4c20n"),
    (b"EE", 20, "16n"),
    (b"EG", 29, "25n"),
    (b"ES", 24, "20n"),
    (b"FI", 18, "14n"),
    (b"FK", 18, "2a12n"),
    (b"FO", 18, "14n"),
    (b"FR", 27, "10n11c2n"),
    (b"GB", 22, "4a14n"),
    (b"GE", 22, "2a16n"),
    (b"GI", 23, "4a15c"),
    (b"GL", 18, "14n"),
    (b"GR", 27, "7n16c"),
    (b"GT", 28, "24c"),
    (b"HN", 28, "4a20n"),
    (b"HR", 21, "17n"),
    (b"HU", 28, "24n"),
    (b"IE", 22, "4a14n"),
    (b"IL", 23, "19n"),
    (b"IQ", 23, "4a15n"),
    (b"IS", 26, "22n"),
    (b"IT", 27, "1a10n12c"),
    (b"JO", 30, "4a4n18c"),
    (b"KW", 30, "4a22c"),
    (b"KZ", 20, "3n13c"),
    (b"LB", 28, "4n20c"),
    (b"LC", 32, "4a24c"),
    (b"LI", 21, "5n12c"),
    (b"LT", 20, "16n"),
    (b"LU", 20, "3n13c"),
    (b"LV", 21, "4a13c"),
    (b"LY", 25, "21n"),
    (b"MC", 27, "10n11c2n"),
    (b"MD", 24, "20c"),
    (b"ME", 22, "18n"),
    (b"MK", 19, "3n10c2n"),
    (b"MN", 20, "16n"),
    (b"MR", 27, "23n"),
    (b"MT", 31, "4a5n18c"),
    (b"MU", 30, "4a19n3a"),
    (b"NI", 28, "4a20n"),
    (b"NL", 18, "4a10n"),
    (b"NO", 15, "11n"),
    (b"OM", 23, "3n16c"),
    (b"PK", 24, "4a16c"),
    (b"PL", 28, "24n"),
    (b"PS", 29, "4a21c"),
    (b"PT", 25, "21n"),
    (b"QA", 29, "4a21c"),
    (b"RO", 24, "4a16c"),
    (b"RS", 22, "18n"),
    (b"RU", 33, "14n15c"),
    (b"SA", 24, "2n18c"),
    (b"SC", 31, "4a20n3a"),
    (b"SD", 18, "14n"),
    (b"SE", 24, "20n"),
    (b"SI", 19, "15n"),
    (b"SK", 24, "20n"),
    (b"SM", 27, "1a10n12c"),
    (b"SO", 23, "19n"),
    (b"ST", 25, "21n"),
    (b"SV", 28, "4a20n"),
    (b"TL", 23, "19n"),
    (b"TN", 24, "20n"),
    (b"TR", 26, "6n16c"),
    (b"UA", 29, "6n19c"),
    (b"VA", 22, "18n"),
    (b"VG", 24, "4a16n"),
    (b"XK", 20, "16n"),
    (b"YE", 30, "4a4n18c"),
];

/// Longest IBAN, characters without blanks.
pub const MAX_LEN: usize = 34;

/// Where the IBAN that begins at `start` ends (exclusive); `None` where there is none. Groups of four may stand
/// apart by one blank, `-` or no-break space; letters may be of either case.
#[must_use]
pub fn iban_at(text: &[u8], start: usize) -> Option<usize> {
    let country = [byte_at(text, start).to_ascii_uppercase(), byte_at(text, start + 1).to_ascii_uppercase()];
    if !country.iter().all(u8::is_ascii_uppercase) {
        return None;
    }
    let row = REGISTRY.binary_search_by(|(code, _, _)| code.as_slice().cmp(&country)).ok()?;
    let &(_, length, form) = REGISTRY.get(row)?;
    let length = usize::from(length);
    let mut chars = [0u8; MAX_LEN];
    let (mut taken, mut i) = (0, start);
    while taken < length {
        let b = byte_at(text, i);
        if b.is_ascii_alphanumeric() {
            *chars.get_mut(taken)? = b.to_ascii_uppercase();
            taken += 1;
            i += 1;
        } else if taken % 4 == 0 && taken > 0 {
            i += separator(text, i)?;
            if !byte_at(text, i).is_ascii_alphanumeric() {
                return None;
            }
        } else {
            return None;
        }
    }
    let chars = chars.get(..length)?;
    let check = chars.get(2..4)?;
    (check.iter().all(u8::is_ascii_digit)
        && !byte_at(text, i).is_ascii_alphanumeric()
        && has_form(chars.get(4..)?, form)
        && mod97(chars) == 1)
        .then_some(i)
}

fn separator(text: &[u8], i: usize) -> Option<usize> {
    match (byte_at(text, i), byte_at(text, i + 1)) {
        (b' ' | b'-', _) => Some(1),
        (0xC2, 0xA0) => Some(2),
        _ => None,
    }
}

fn has_form(bban: &[u8], form: &str) -> bool {
    let (mut count, mut at) = (0usize, 0usize);
    for f in form.bytes() {
        if f.is_ascii_digit() {
            count = count * 10 + usize::from(f - b'0');
            continue;
        }
        let Some(part) = bban.get(at..at + count) else { return false };
        let fits = match f {
            b'n' => part.iter().all(u8::is_ascii_digit),
            b'a' => part.iter().all(u8::is_ascii_uppercase),
            _ => true,
        };
        if !fits {
            return false;
        }
        at += count;
        count = 0;
    }
    at == bban.len()
}

/// ISO 7064 mod 97-10 of the IBAN with its first four characters moved to the end; 1 is right.
fn mod97(chars: &[u8]) -> u32 {
    let (head, tail) = chars.split_at(chars.len().min(4));
    tail.iter().chain(head).fold(0, |rest, &b| match b {
        b'0'..=b'9' => (rest * 10 + u32::from(b - b'0')) % 97,
        _ => (rest * 100 + u32::from(b.to_ascii_uppercase().wrapping_sub(b'A')) + 10) % 97,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Examples of the SWIFT IBAN registry.
    const EXAMPLES: &[&str] = &[
        "AD1200012030200359100100",
        "AE070331234567890123456",
        "AT611904300234573201",
        "BE68539007547034",
        "BR1800360305000010009795493C1",
        "CH9300762011623852957",
        "CZ6508000000192000145399",
        "DE89370400440532013000",
        "DK5000400440116243",
        "ES9121000418450200051332",
        "FI2112345600000785",
        "FR1420041010050500013M02606",
        "GB29NWBK60161331926819",
        "GE29NB0000000101904917",
        "HU42117730161111101800000000",
        "IE29AIBK93115212345678",
        "IT60X0542811101000000123456",
        "KZ86125KZT5004100100",
        "LT121000011101001000",
        "LV80BANK0000435195001",
        "MT84MALT011000012345MTLCAST001S",
        "NL91ABNA0417164300",
        "NO9386011117947",
        "PL61109010140000071219812874",
        "PT50000201231234567890154",
        "RO49AAAA1B31007593840000",
        "SE4550000000058398257466",
        "SK3112000000198742637541",
        "TR330006100519786457841326",
        "UA213223130000026007233566001",
        "VA59001123000012345678",
        "XK051212012345678906",
        "MU17BOMM0101101030300200000MUR",
        "SC18SSCB11010000000000001497USD",
        "LC55HEMM000100010012001200023015",
    ];

    #[test]
    fn registry_examples_in_every_form() {
        for iban in EXAMPLES {
            assert_eq!(iban_at(iban.as_bytes(), 0), Some(iban.len()), "{iban}");
            assert_eq!(iban_at(iban.to_lowercase().as_bytes(), 0), Some(iban.len()), "{iban}");
            let spaced =
                iban.as_bytes().chunks(4).map(|c| String::from_utf8_lossy(c)).collect::<Vec<_>>().join(" ");
            let text = format!("{spaced} WITH a word");
            assert_eq!(iban_at(text.as_bytes(), 0), Some(spaced.len()), "{spaced}");
        }
    }

    #[test]
    fn one_wrong_character_is_none() {
        for iban in EXAMPLES {
            for i in 2..iban.len() {
                let mut bytes = iban.as_bytes().to_vec();
                let b = &mut bytes[i];
                *b = match *b {
                    b'9' => b'0',
                    b'Z' => b'A',
                    other => other + 1,
                };
                assert_eq!(iban_at(&bytes, 0), None, "{iban} at {i}");
            }
        }
    }

    #[test]
    fn table_is_sorted_and_adds_up() {
        assert!(REGISTRY.windows(2).all(|w| w[0].0 < w[1].0));
        for (code, length, form) in REGISTRY {
            let sum: usize = form.split(char::is_alphabetic).filter_map(|n| n.parse::<usize>().ok()).sum();
            assert_eq!(sum + 4, usize::from(*length), "{code:?}");
        }
    }
}
