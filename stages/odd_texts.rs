//! Every measure on texts that are none of what one thinks of, and languages told without a model.

use corpus::{Document, DocumentId, Meta, Signal};

use crate::{Built, Kind, StageSpec, Workspace, spec, told};

/// Nothing, almost nothing, one thing over and over, other scripts.
fn odd() -> Vec<(&'static str, String)> {
    let texts = [
        ("empty", ""),
        ("white space", " \n\t\u{3000}\u{2028}\n"),
        ("one letter", "a"),
        ("only punctuation", "!?.,;:()[]{}…—«»\n...\n***"),
        ("only digits", "0123456789 ٣٤ ½ 二〇二六"),
        ("only controls", "\u{0}\u{1}\u{7f}\u{85}\u{200b}\u{feff}"),
        ("only marks", "\u{301}\u{302} \u{64b}\u{302f}"),
        ("emoji", "😀👩‍👩‍👧‍👦 🏳️‍🌈\n🎉🎉🎉"),
        ("Chinese", "每一步我们都能说出每个文件去了哪里。原始文件变成文档，文档变成词元！"),
        ("Japanese", "どの段階でも、それぞれのファイルがどこへ行ったかを言えます。カタカナとひらがな。"),
        ("Thai", "ในทุกขั้นตอนเราสามารถบอกได้ว่าแต่ละไฟล์ไปที่ไหน"),
        ("Arabic", "في كل خطوة يمكننا أن نقول أين ذهب كل ملف. ٢٠٢٦"),
        ("Hebrew", "בכל שלב אנחנו יכולים לומר לאן הלך כל קובץ."),
        ("both directions", "left \u{202e}thgir\u{202c} שלום left"),
        ("line ends", "\n\n\r\n\r\n\n"),
        ("the unknown", "\u{fffd}\u{fffd}\u{10ffff}\u{e000}"),
    ];
    let mut all: Vec<(&str, String)> = texts.map(|(about, text)| (about, text.to_owned())).into();
    all.push(("one word without end", "a".repeat(1 << 20)));
    all.push(("one word over and over", "word ".repeat(20_000)));
    all.push(("lines of one letter", "a\n".repeat(20_000)));
    all.push(("characters without spaces", "漢".repeat(100_000)));
    all
}

#[test]
fn no_measure_panics_or_writes_what_is_no_number() {
    let models = spec::tests::models();
    let mut measures = 0;
    for told in told().iter().filter(|told| told.kind == Kind::Measure) {
        for spelled in [format!("{}: {{}}", told.name), told.example.to_owned()] {
            let spec: StageSpec = serde_saphyr::from_str(&spelled).unwrap();
            let Built::Stage(stage) = spec.build(&models).unwrap() else { panic!("{spelled} looks at no document") };
            measures += 1;
            let mut workspace = Workspace::default();
            for (about, text) in odd() {
                let meta = Meta { language: Some("en".into()), ..Meta::default() };
                let id = DocumentId { raw_file: "c4/odd".into(), record: 0 };
                let mut document = Document::new(id, text, meta);
                stage.apply(&mut document, &mut workspace);
                for signal in spec.writes() {
                    if let Some(Signal::Number(value)) = document.signals.get(signal.name) {
                        assert!(value.is_finite(), "{spelled} on {about}: {} is {value}", signal.name);
                    }
                }
            }
        }
    }
    assert!(measures >= 10, "{measures}");
}

/// What whatlang says of sentences in the languages of Wikipedia's slice that no dump among the real
/// inputs is in, and in the ten that one is in.
#[test]
fn languages_are_told_without_a_model() {
    let stage: StageSpec = serde_saphyr::from_str("language: {}").unwrap();
    let Built::Stage(stage) = stage.build(&crate::Models::default()).unwrap() else { panic!("no stage") };
    for (language, sentence) in SENTENCES {
        let id = DocumentId { raw_file: "wikipedia/a".into(), record: 0 };
        let mut document = Document::new(id, sentence.to_owned(), Meta::default());
        stage.apply(&mut document, &mut Workspace::default());
        assert_eq!(document.meta.language.as_deref(), Some(language), "{sentence}");
    }
}

#[rustfmt::skip]
const SENTENCES: [(&str, &str); 20] = [
    ("bg", "Старата къща стоеше до реката, а зад нея започваше гората, в която никой не беше ходил през зимата."),
    ("ca", "La casa vella era a prop del riu i els nens hi anaven cada matí amb els seus amics quan feia bon temps."),
    ("cs", "Starý dům stál u řeky a děti tam každé ráno chodily se svými přáteli, když bylo pěkné počasí."),
    ("da", "Det gamle hus lå ved åen, og børnene gik derhen hver morgen sammen med deres venner, når vejret var godt."),
    ("de", "Das alte Haus stand am Fluss, und die Kinder gingen jeden Morgen mit ihren Freunden dorthin, wenn das Wetter schön war."),
    ("en", "The old house stood by the river, and the children went there every morning with their friends when the weather was fine."),
    ("es", "La casa vieja estaba junto al río y los niños iban allí cada mañana con sus amigos cuando hacía buen tiempo."),
    ("fr", "La vieille maison se trouvait près de la rivière et les enfants y allaient chaque matin avec leurs amis quand il faisait beau."),
    ("hr", "Stara kuća je stajala pokraj rijeke, a djeca su svako jutro odlazila tamo sa svojim prijateljima kada je vrijeme bilo lijepo."),
    ("hu", "A régi ház a folyó mellett állt, és a gyerekek minden reggel odamentek a barátaikkal, amikor szép idő volt."),
    ("it", "La vecchia casa si trovava vicino al fiume e i bambini ci andavano ogni mattina con i loro amici quando faceva bel tempo."),
    ("nl", "Het oude huis stond bij de rivier en de kinderen gingen er elke ochtend met hun vrienden heen als het mooi weer was."),
    ("pl", "Stary dom stał nad rzeką, a dzieci chodziły tam każdego ranka ze swoimi przyjaciółmi, kiedy była ładna pogoda."),
    ("pt", "A casa velha ficava perto do rio e as crianças iam lá todas as manhãs com os seus amigos quando fazia bom tempo."),
    ("ro", "Casa veche se afla lângă râu și copiii mergeau acolo în fiecare dimineață cu prietenii lor când vremea era frumoasă."),
    ("ru", "Старый дом стоял у реки, и дети каждое утро ходили туда со своими друзьями, когда была хорошая погода."),
    ("sl", "Stara hiša je stala ob reki in otroci so vsako jutro hodili tja s svojimi prijatelji, kadar je bilo lepo vreme."),
    ("sr", "Стара кућа је стајала поред реке, а деца су сваког јутра одлазила тамо са својим пријатељима када је време било лепо."),
    ("sv", "Det gamla huset låg vid ån och barnen gick dit varje morgon tillsammans med sina vänner när vädret var fint."),
    ("uk", "Старий будинок стояв біля річки, і діти щоранку ходили туди зі своїми друзями, коли була гарна погода."),
];
