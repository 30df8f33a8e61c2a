//! E-mail addresses: `local@domain` whose domain ends as domains do.

use std::ops::Range;

/// The domains of countries, as IANA's root zone lists them.
const COUNTRIES: &str = " ac ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo br bs bt bw by bz ca cc \
    cd cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg er es et eu fi fj fk fm fo fr ga gd ge gf gg gh gi gl gm gn \
    gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie il im in io iq ir is it je jm jo jp ke kg kh ki km kn kp kr kw ky kz la lb lc li lk lr \
    ls lt lu lv ly ma mc md me mg mh mk ml mm mn mo mp mq mr ms mt mu mv mw mx my mz na nc ne nf ng ni nl no np nr nu nz om pa pe pf pg ph \
    pk pl pm pn pr ps pt pw py qa re ro rs ru rw sa sb sc sd se sg sh si sk sl sm sn so sr ss st su sv sx sy sz tc td tf tg th tj tk tl tm \
    tn to tr tt tv tw tz ua ug uk us uy uz va vc ve vg vi vn vu wf ws ye yt za zm zw ";

/// Other domains of the root zone under which people have addresses. What is an ending of files
/// (`zip`, `mov`, `sh` is a country) or of code is left out.
const OTHERS: &str = " com net org edu gov mil int info biz name pro aero coop museum jobs mobi travel cat tel asia post arpa academy agency \
    app art associates bank bayern berlin bio blog boutique brussels build business cafe capital care careers center charity chat church \
    cloud club coach codes coffee college community company computer consulting cool cymru design dev digital earth education email energy \
    engineering eus events expert family farm film finance fit foundation fund fyi gal gallery games gent global gmbh group guide guru \
    hamburg haus health help hospital host hotel house icu inc ink institute international jetzt koeln land law legal life link live llc \
    london ltd management market marketing media money music network news ngo ninja nyc one ong online paris partners party photo \
    photography photos plus press productions properties quebec rentals report restaurant review reviews rocks ruhr saarland sale school \
    scot services shop site ski social software solar solutions space store studio style support swiss systems taxi team tech technology \
    tips today tokyo tools top tours town training university vegas ventures vet vlaanderen wales web website wien wiki win work works \
    world wtf xyz yoga zone ";

/// The longest local part and label that there are, in RFC 5321 and 1035.
const LONGEST: usize = 64;

/// The address around an `@`.
pub fn around(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let is_local = |byte: &u8| byte.is_ascii_alphanumeric() || b"._%+-".contains(byte);
    let local = bytes[..at].iter().rev().take_while(|byte| is_local(byte)).take(LONGEST + 1).count();
    if local == 0 || local > LONGEST {
        return None;
    }
    let mut start = at - local;
    // Punctuation before an address is not its own.
    start += bytes[start..at].iter().take_while(|byte| !byte.is_ascii_alphanumeric() && **byte != b'_').count();
    let name = &bytes[start..at];
    if name.is_empty() || name.ends_with(b".") || name.windows(2).any(|two| two == b"..") {
        return None;
    }
    let end = at + 1 + domain(&bytes[at + 1..])?;
    // `git@host:path` and `//user:word@host/` are addresses of machines.
    let is_remote = name == b"git" && matches!(bytes.get(end), Some(b':' | b'/'));
    let begun = bytes[..start].iter().rev().take(256).take_while(|byte| !byte.is_ascii_whitespace()).count();
    let token = &bytes[start - begun..start];
    let scheme = memchr::memmem::rfind(token, b"//");
    let is_user = scheme.is_some_and(|slashes| token[slashes + 2..].iter().all(|byte| is_local(byte) || *byte == b':'));
    (!is_remote && !is_user).then_some(start..end)
}

/// The length of the domain that a text begins with.
fn domain(bytes: &[u8]) -> Option<usize> {
    // Where labels end, as far as they are any; no domain has more than 255 bytes.
    let mut ends: Vec<usize> = Vec::new();
    let mut at = 0;
    while at < 255 {
        let label =
            bytes[at..].iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'-').take(LONGEST).count();
        let word = &bytes[at..at + label];
        if label == 0 || label == LONGEST || word.starts_with(b"-") || word.ends_with(b"-") {
            break;
        }
        ends.push(at + label);
        at += label + 1;
        if bytes.get(at - 1) != Some(&b'.') {
            break;
        }
    }
    // A sentence may go on after the dot: `write to ann@harbour.org.Thanks`.
    while ends.len() > 1 {
        let end = ends.pop()?;
        let last = ends.last().map_or(0, |before| before + 1);
        if !is_top_level(&bytes[last..end]) {
            continue;
        }
        let second = ends.len().checked_sub(2).map_or(0, |before| ends[before] + 1);
        return (!is_nobody_s(&bytes[second..end])).then_some(end);
    }
    None
}

fn is_top_level(label: &[u8]) -> bool {
    let Ok(label) = std::str::from_utf8(label) else { return false };
    let label = label.to_ascii_lowercase();
    let known = if label.len() == 2 { COUNTRIES } else { OTHERS };
    label.starts_with("xn--") || known.split_ascii_whitespace().any(|one| one == label)
}

/// Names that RFC 2606 keeps for examples.
fn is_nobody_s(domain: &[u8]) -> bool {
    [&b"example.com"[..], b"example.net", b"example.org"].iter().any(|name| domain.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use crate::personal_data::tests::finds;

    #[test]
    fn addresses_are_found_as_people_write_them() {
        finds("Write to ann.b+news@mail.harbour.co.uk.", &["email: ann.b+news@mail.harbour.co.uk"]);
        finds(
            "<ANN_B@HARBOUR.ORG>;bob%x@a-b.de,c@d.io",
            &["email: ANN_B@HARBOUR.ORG", "email: bob%x@a-b.de", "email: c@d.io"],
        );
        finds("邮箱：admin@harbour.com.cn电话", &["email: admin@harbour.com.cn"]);
        finds("mailto:ann@harbour.org?subject=x", &["email: ann@harbour.org"]);
        finds("https://a.org/?to=ann@harbour.org&x", &["email: ann@harbour.org"]);
        finds("…ann@harbour.org.Thanks", &["email: ann@harbour.org"]);
        finds("-ann@harbour.org 12@harbour.org", &["email: ann@harbour.org", "email: 12@harbour.org"]);
    }

    #[test]
    fn what_only_looks_like_one_is_none() {
        for text in [
            "you@example.com, you@mail.example.org, Ann@Example.NET, ann@localhost, ann@host.local, ann@harbour.invalid",
            "https://ann:pajama@harbour.org/x, ssh://git@harbour.org/x, git@harbour.org:ann/x.git",
            "sprite@2x.png, a..b@harbour.org, ann.@harbour.org, @harbour.org, ann@-harbour.org, ann@harbour-.org",
            "import { a } from 'pkg@1.2.x'; foo@bar.js; x@y.z; ann @ harbour.org",
        ] {
            finds(text, &[]);
        }
    }
}
