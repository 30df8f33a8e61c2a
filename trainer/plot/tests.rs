use std::fmt::Write as _;
use std::io::Read;

use super::*;

/// A folder with runs, each a name and the losses of its steps of 1000 tokens; one that is no number is skipped.
fn runs(all: &[(&str, &[f64])]) -> (tempfile::TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    let paths = all.iter().map(|(name, losses)| {
        let path = folder.path().join(name);
        std::fs::create_dir(&path).unwrap();
        let mut lines = String::new();
        for (loss, step) in losses.iter().zip(1..) {
            let tokens = step * 1000;
            let _ = match loss.is_nan() {
                true => writeln!(lines, r#"{{"step": {step}, "loss": null, "tokens": {tokens}, "skipped": "why"}}"#),
                false => writeln!(lines, r#"{{"step": {step}, "loss": {loss}, "tokens": {tokens}, "skipped": null}}"#),
            };
        }
        std::fs::write(path.join(crate::report::METRICS), lines).unwrap();
        path
    });
    let paths = paths.collect();
    (folder, paths)
}

fn svg(runs: &[PathBuf]) -> String {
    String::from_utf8(plot(runs, Form::Svg).unwrap()).unwrap()
}

/// A picture, read back as the standard says.
struct Pixels {
    width: usize,
    height: usize,
    rows: Vec<u8>,
}

impl Pixels {
    fn read(file: &[u8]) -> Pixels {
        assert_eq!(&file[..8], b"\x89PNG\r\n\x1a\n");
        let word = |at: usize| u32::from_be_bytes(file[at..at + 4].try_into().unwrap());
        let (mut at, mut names, mut packed) = (8, Vec::new(), Vec::new());
        while at < file.len() {
            let end = at + 8 + word(at) as usize;
            let mut crc = !0u32;
            for byte in &file[at + 4..end] {
                crc ^= u32::from(*byte);
                for _ in 0..8 {
                    crc = crc >> 1 ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
                }
            }
            assert_eq!(word(end), !crc);
            names.push(&file[at + 4..at + 8]);
            if names.last() == Some(&&b"IDAT"[..]) {
                packed.extend(&file[at + 8..end]);
            }
            at = end + 4;
        }
        assert_eq!(names, [b"IHDR", b"IDAT", b"IEND"]);
        assert_eq!(&file[24..29], [8, 2, 0, 0, 0]);
        let (width, height) = (word(16) as usize, word(20) as usize);
        let mut rows = Vec::new();
        flate2::read::ZlibDecoder::new(&packed[..]).read_to_end(&mut rows).unwrap();
        assert_eq!(rows.len(), height * (3 * width + 1));
        assert!(rows.chunks(3 * width + 1).all(|row| row[0] == 0), "no filter");
        Pixels { width, height, rows }
    }

    fn at(&self, x: usize, y: usize) -> [u8; 3] {
        self.rows[y * (3 * self.width + 1) + 1 + 3 * x..][..3].try_into().unwrap()
    }

    /// Around a point of the picture's units, the pixels that have a colour.
    fn near(&self, (x, y): (f64, f64), colour: [u8; 3]) -> usize {
        let (x, y) = ((x * png::SCALE) as usize, (y * png::SCALE) as usize);
        (y - 2..y + 2)
            .flat_map(|y| (x - 2..x + 2).map(move |x| (x, y)))
            .filter(|at| self.at(at.0, at.1) == colour)
            .count()
    }
}

/// The bends of the curves of a colour.
fn bends(svg: &str, colour: &str) -> Vec<(f64, f64)> {
    let line = svg.lines().find(|line| line.contains(&format!("stroke=\"{colour}\" stroke-width=\"1.5\""))).unwrap();
    let points = line.split('"').nth(1).unwrap().split(' ');
    points.map(|point| point.split_once(',').map(|(x, y)| (x.parse().unwrap(), y.parse().unwrap())).unwrap()).collect()
}

#[test]
fn pixels_and_shapes_are_the_same_picture() {
    let (_folder, paths) = runs(&[("falls", &[6.0, 4.0, 3.0, 2.5, 2.0]), ("less", &[6.0, 5.5, 5.0, 4.5])]);
    let shapes = svg(&paths);
    let pixels = Pixels::read(&plot(&paths, Form::Png).unwrap());
    assert_eq!((pixels.width, pixels.height), (1920, 1088));
    assert!(shapes.contains("viewBox=\"0 0 960 544\""), "{shapes}");
    for (colour, hex, steps) in [([0, 0x72, 0xb2], "#0072b2", 5), ([0xd5, 0x5e, 0], "#d55e00", 4)] {
        let bends = bends(&shapes, hex);
        assert_eq!(bends.len(), steps);
        // The first points of both are the same one, where the later curve is on top.
        for bend in &bends[1..] {
            assert!(pixels.near(*bend, colour) >= 3, "{hex} at {bend:?}");
            assert_eq!(pixels.near((bend.0, bend.1 - 8.0), colour), 0, "{hex} above {bend:?}");
        }
    }
    // Losses from 6 to 2 in a field of 430, and 5000 tokens across one of 866.
    let falls = bends(&shapes, "#0072b2");
    assert_eq!((falls[0], falls[4]), ((239.2, 64.0), (932.0, 494.0)));
    for corner in [(0, 0), (1919, 0), (0, 1087), (1919, 1087), (700, 100 + 60)] {
        assert_eq!(pixels.at(corner.0, corner.1), [255; 3]);
    }
    // The legend's words are there, and nothing else in their line.
    let dark = |columns: std::ops::Range<usize>| {
        columns.flat_map(|x| (30..56).map(move |y| (x, y))).filter(|at| pixels.at(at.0, at.1)[0] < 100).count()
    };
    assert!(dark(184..254) > 200 && dark(1000..1920) == 0, "{} {}", dark(184..254), dark(1000..1920));
}

#[test]
fn a_picture_has_every_curve() {
    let (folder, mut paths) = runs(&[("a<b", &[]), ("c\u{4e2d}", &[f64::NAN; 3])]);
    assert!(plot(&paths[..1], Form::Svg).unwrap_err().message.contains("no step"));
    assert!(plot(&paths, Form::Png).unwrap_err().message.contains("all 3 steps were skipped"));
    assert!(plot(&[folder.path().join("none")], Form::Svg).unwrap_err().message.contains("metrics.jsonl"));
    let mut lines = String::new();
    for step in 1..=2000u32 {
        let (loss, tokens) = (2.0 + 5.0 / f64::from(step), step * 1000);
        lines += &format!(
            "{{\"loss\": {loss}, \"tokens\": {tokens}, \"skipped\": null, \"slices\": {{\"c4\": 2, \"books\": {loss}}}}}\n"
        );
    }
    lines += "{\"tokens\": 2000000, \"held_out\": {\"c4\": {\"loss\": 2.5, \"tokens\": 9}, \"d\": {\"loss\": 3, \"tokens\": 9}}}\n";
    std::fs::write(paths[0].join(crate::report::METRICS), lines + "{\"step\": 20").unwrap();
    let picture = svg(&paths[..1]);
    // All tokens, and three slices of which one is held out alone.
    assert_eq!(picture.matches("stroke=\"#7fb8d8\"").count() + picture.matches("stroke=\"#80b9d9\"").count(), 2);
    assert_eq!((bends(&picture, "#0072b2").len(), picture.matches("r=\"3\" fill=\"#0072b2\"").count()), (154, 3));
    assert_eq!(picture.matches("tokens trained on").count(), 4);
    for words in [">a&lt;b<", ">c4<", ">books<", ">d<", ">2.0 M<", ">held out<"] {
        assert!(picture.contains(words), "{words} {picture}");
    }
    assert!(!picture.contains("NaN") && !picture.contains("skipped step") && picture.len() < 60_000);
    // Beside a run that has losses, one that has none is named; its steps are crosses on the axis.
    paths.reverse();
    let picture = svg(&paths);
    assert!(picture.contains(">c\u{4e2d} (no losses)<") && picture.contains(">skipped step<"), "{picture}");
    assert!(plot(&paths, Form::Png).is_ok());
}

#[test]
fn losses_that_explode_leave_the_others_to_be_seen() {
    let (_folder, paths) = runs(&[("diverges", &[10.0, 5.0, 3.0, 300.0, 3e38, f64::NAN])]);
    let picture = svg(&paths);
    assert!(picture.contains("nats per token, logarithmic") && picture.contains(">skipped step<"), "{picture}");
    let bends = bends(&picture, "#0072b2");
    assert!(bends[2].1 > bends[0].1 && bends[0].1 > bends[3].1 && bends[3].1 > bends[4].1 + 100.0, "{bends:?}");
    Pixels::read(&plot(&paths, Form::Png).unwrap());
    // One step, or a loss that stays what it is, is a picture too.
    for losses in [&[3.0][..], &[3.0; 5], &[0.0; 5], &[-1.0, 1e30]] {
        let (_folder, paths) = runs(&[("flat", losses)]);
        Pixels::read(&plot(&paths, Form::Png).unwrap());
        assert!(!svg(&paths).contains("NaN"));
    }
}

#[test]
fn fields_beside_each_other_are_drawn_alike_and_their_titles_fit() {
    let (_folder, paths) = runs(&[("run", &[])]);
    let long = "a_slice_whose_name_is_longer_than_its_field_is_wide";
    let mut lines = String::new();
    for step in 1..=20u32 {
        // One falls to nearly nothing, which takes powers of ten; the others stay near 3.
        let (falls, stays) = (6.0 / f64::from(step * step), 3.0 - f64::from(step) / 100.0);
        let _ = writeln!(
            lines,
            r#"{{"loss": 3, "tokens": {}, "skipped": null, "slices": {{"arxiv": {falls}, "common_crawl": {stays}, "{long}": {stays}}}}}"#,
            step * 1000
        );
    }
    std::fs::write(paths[0].join(crate::report::METRICS), lines).unwrap();
    let runs = [curves::read(&paths[0]).unwrap()];
    let picture = chart::chart(&runs);
    let texts: Vec<(f64, &str, bool)> = picture
        .shapes
        .iter()
        .filter_map(|shape| match shape {
            picture::Shape::Text { at, anchor: picture::Anchor::Start, text, bold, .. } => {
                Some((at.0, text.as_str(), *bold))
            }
            _ => None,
        })
        .collect();
    for (left, words, _) in &texts {
        assert!(left + picture::width(words) <= picture.width - 28.0, "{words}");
    }
    let units: Vec<&str> = texts.windows(2).filter(|pair| pair[0].2).map(|pair| pair[1].1).collect();
    assert_eq!(units[..3], ["nats per token, logarithmic", "nats per token, logarithmic", "nats, logarithmic"]);
    assert!(texts.iter().any(|(_, words, bold)| *bold && words.starts_with("a_slice_whose") && words.ends_with("..")));
    assert!(!svg(&paths).contains("NaN"));
}

#[test]
fn endings_say_what_is_written() {
    for (name, form) in [("a.svg", Some(Form::Svg)), ("b/c.PNG", Some(Form::Png)), ("a.jpg", None), ("png", None)] {
        assert_eq!(Form::of(Path::new(name)), form, "{name}");
    }
}
