//! Where cc_net cuts each language into head, middle and tail.

/// Languages with the perplexity below which three tenths of their pages lie and below which six do:
/// percentiles 30 and 60 of cc_net's `cutoff.csv`, which it made with its own models.
#[rustfmt::skip]
pub const CC_NET: [(&str, f64, f64); 49] = [
    ("af", 540.0, 770.0), ("ar", 490.0, 790.0), ("az", 600.0, 950.0), ("be", 670.0, 910.0), ("bg", 450.0, 680.0),
    ("bn", 190.0, 300.0), ("ca", 210.0, 330.0), ("cs", 820.0, 1140.0), ("da", 380.0, 600.0), ("de", 370.0, 590.0),
    ("el", 450.0, 670.0), ("en", 340.0, 520.0), ("es", 180.0, 290.0), ("et", 1270.0, 1620.0), ("fa", 370.0, 700.0),
    ("fi", 1110.0, 1500.0), ("fr", 180.0, 330.0), ("gu", 1110.0, 1570.0), ("he", 1280.0, 1710.0),
    ("hi", 480.0, 790.0), ("hr", 720.0, 910.0), ("hu", 80.0, 140.0), ("hy", 750.0, 1080.0), ("id", 600.0, 970.0),
    ("is", 850.0, 1190.0), ("it", 220.0, 360.0), ("ja", 1110.0, 1450.0), ("ka", 910.0, 1310.0), ("kk", 610.0, 930.0),
    ("km", 1040.0, 2180.0), ("kn", 2210.0, 2800.0), ("ko", 920.0, 2130.0), ("lt", 190.0, 270.0),
    ("lv", 1130.0, 1480.0), ("mk", 530.0, 740.0), ("ml", 2430.0, 3220.0), ("mn", 680.0, 1010.0),
    ("mr", 1380.0, 1870.0), ("my", 2530.0, 3040.0), ("ne", 860.0, 1130.0), ("nl", 430.0, 650.0), ("no", 430.0, 680.0),
    ("pl", 160.0, 260.0), ("pt", 170.0, 270.0), ("ro", 180.0, 270.0), ("ru", 210.0, 310.0), ("sv", 582.0, 964.0),
    ("uk", 140.0, 220.0), ("zh", 1460.0, 1950.0),
];

/// The cut-offs of a language.
pub fn of(language: &str) -> Option<(f64, f64)> {
    let place = CC_NET.binary_search_by(|(known, ..)| (*known).cmp(language)).ok()?;
    Some((CC_NET[place].1, CC_NET[place].2))
}

#[test]
fn languages_are_in_order_and_cut_offs_too() {
    assert!(CC_NET.is_sorted_by(|one, other| one.0 < other.0));
    assert!(CC_NET.iter().all(|(_, head, middle)| head < middle));
    assert_eq!(of("en"), Some((340.0, 520.0)));
    assert_eq!(of("ltg"), None);
}
