//! Names: of languages in the names of files, and of namespaces in links.

use super::dump::Site;

/// Codes of the Wikipedias, as of <https://meta.wikimedia.org/wiki/List_of_Wikipedias>.
const CODES: &str = "\
    aa ab ace ady af ak als alt am ami an ang anp ar arc ary arz as ast atj av avk awa ay az azb ba ban \
    bar bat-smg bbc bcl bdr be be-x-old bew bg bh bi bjn blk bm bn bo bpy br bs btm bug bxr ca cbk-zam \
    cdo ce ceb ch cho chr chy ckb co cr crh cs csb cu cv cy da dag de dga din diq dsb dtp dty dv dz ee \
    el eml en eo es et eu ext fa fat ff fi fiu-vro fj fo fon fr frp frr fur fy ga gag gan gcr gd gl glk \
    gn gom gor got gpe gsw gu guc gur guw gv ha hak haw he hi hif ho hr hsb ht hu hy hyw hz ia iba id ie \
    ig igl ii ik ilo inh io is it iu ja jam jbo jv ka kaa kab kaj kbd kbp kcg kg kge ki kj kk kl km kn \
    knc ko koi kr krc ks ksh ku kus kv kw ky la lad lb lbe lez lfn lg li lij lld lmo ln lo lrc lt ltg lv \
    mad mai map-bms mdf mg mh mhr mi min mk ml mn mni mnw mos mr mrj ms mt mus mwl my myv mzn na nah nap \
    nds nds-nl ne new ng nia nl nn no nov nqo nr nrm nso nup nv ny oc olo om or os pa pag pam pap pcd \
    pcm pdc pfl pi pih pl pms pnb pnt ps pt pwn qu rm rmy rn ro roa-rup roa-tara rsk ru rue rw sa sah \
    sat sc scn sco sd se sg sh shi shn shy si simple sk skr sl sm smn sn so sq sr srn ss st stq su sv sw \
    syl szl szy ta tay tcy tdd te tet tg th ti tig tk tl tly tn to tok tpi tr trv ts tt tum tw ty tyv \
    udm ug uk ur uz ve vec vep vi vls vo wa war wo wuu xal xh xmf yi yo yue za zea zgh zh zh-classical \
    zh-min-nan zh-yue zu";

/// Names of the namespaces Media and File, then of Category, beside the English ones: localised names
/// and aliases.
///
/// They are what these wikis' own `api.php?action=query&meta=siteinfo` said on 2021-12-21, as the original
/// used them. For ca and hr all, for sl and cs some were compared with MediaWiki's localisation
/// (languages/messages/Messages{Ca,Hr,Sl,Cs}.php); for da, hu, pt, ro, sr and uk nobody has yet. Every
/// other wiki is taken at its dump's word.
type Localised = (&'static str, &'static [&'static str], &'static [&'static str]);
const LOCALISED: [Localised; 22] = [
    ("bg", &["Медия", "Файл", "Картинка"], &["Категория"]),
    ("ca", &["Fitxer", "Imatge"], &["Categoria"]),
    ("cs", &["Soubor", "Média", "Obrázok"], &["Kategorie"]),
    ("da", &["Billede", "Fil"], &["Kategori"]),
    ("de", &["Medium", "Datei", "Bild"], &["Kategorie"]),
    ("es", &["Medio", "Archivo", "Imagen"], &["CAT", "Categoría"]),
    ("fr", &["Média", "Fichier"], &["Catégorie"]),
    ("he", &["תמונה", "קו", "מדיה", "קובץ"], &["קטגוריה", "קט"]),
    ("hr", &["Mediji", "DT", "Slika", "F", "Datoteka"], &["CT", "KT", "Kategorija"]),
    ("hu", &["Kép", "Fájl", "Média"], &["Kategória"]),
    ("it", &["Immagine"], &["CAT", "Categoria"]),
    ("ja", &["メディア", "ファイル", "画像"], &["カテゴリ"]),
    ("ltg", &["Medeja", "Fails"], &["Kategoreja"]),
    ("nl", &["Bestand", "Afbeelding"], &["Categorie"]),
    ("pl", &["Plik", "Grafika"], &["Kategoria"]),
    ("pt", &["Multimédia", "Ficheiro", "Arquivo", "Imagem"], &["Categoria"]),
    ("ro", &["Fişier", "Imagine", "Fișier"], &["Categorie"]),
    ("ru", &["Медиа", "Файл", "Изображение"], &["Категория", "К"]),
    ("sl", &["Slika", "Datoteka"], &["Kategorija"]),
    (
        "sr",
        &["Датотека", "Medij", "Slika", "Медија", "Datoteka", "Медиј", "Medija", "Слика"],
        &["Kategorija", "Категорија"],
    ),
    ("sv", &["Fil", "Bild"], &["Kategori"]),
    ("uk", &["Медіа", "Медиа", "Файл", "Изображение", "Зображення"], &["Категория", "Категорія"]),
];

const FILES: [&str; 3] = ["File", "Image", "Media"];
const CATEGORY: &str = "Category";

/// Numbers of namespaces.
const MEDIA_NAMESPACE: i64 = -2;
const FILE_NAMESPACE: i64 = 6;
const CATEGORY_NAMESPACE: i64 = 14;

/// Whether there is a Wikipedia of this code.
pub(super) fn is_code(code: &str) -> bool {
    CODES.split_ascii_whitespace().any(|known| known == code)
}

/// The language that a file's name tells: `<code>wiki`, between other characters than letters and
/// digits, where `<code>` is a Wikipedia's (in such names with `_` for `-`). Of several the longest.
pub(super) fn language_of(file: &str) -> Option<String> {
    let file = file.to_ascii_lowercase();
    let mut found: Option<&str> = None;
    for (at, _) in file.match_indices("wiki") {
        if file[at + 4..].starts_with(|next: char| next.is_ascii_alphanumeric()) {
            continue;
        }
        for code in CODES.split_ascii_whitespace() {
            let Some(before) = file[..at].strip_suffix(code.replace('-', "_").as_str()) else { continue };
            let alone = !before.ends_with(|last: char| last.is_ascii_alphanumeric());
            if alone && found.is_none_or(|found| code.len() > found.len()) {
                found = Some(code);
            }
        }
    }
    found.map(str::to_owned)
}

/// How a page links to files and to categories.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    files: Vec<String>,
    categories: Vec<String>,
}

impl Names {
    /// The names of a language's wiki, and those that a dump tells.
    pub fn of(language: &str, site: &Site) -> Names {
        let localised = LOCALISED.iter().find(|(code, ..)| *code == language);
        let (files, categories) = localised.map_or((&[] as &[_], &[] as &[_]), |(_, files, names)| (files, names));
        let told = |wanted: &[i64]| -> Vec<String> {
            let named = site.namespaces.iter().filter(|(number, _)| wanted.contains(number));
            named.map(|(_, name)| name.clone()).collect()
        };
        let mut names = Names::default();
        names.files.extend(FILES.iter().chain(files).map(|name| (*name).to_owned()));
        names.files.extend(told(&[MEDIA_NAMESPACE, FILE_NAMESPACE]));
        names.categories.push(CATEGORY.to_owned());
        names.categories.extend(categories.iter().map(|name| (*name).to_owned()));
        names.categories.extend(told(&[CATEGORY_NAMESPACE]));
        names
    }

    pub fn is_file(&self, title: &str) -> bool {
        prefix(title, &self.files).is_some()
    }

    /// Whether a link leads to the same article in another language.
    pub fn is_other_language(&self, title: &str) -> bool {
        let code = title.split_once(':').map_or("", |(code, _)| code.trim());
        is_code(code)
    }

    pub fn is_category(&self, title: &str) -> bool {
        prefix(title, &self.categories).is_some()
    }

    /// A text without a category's prefix.
    pub fn without_category<'t>(&self, text: &'t str) -> &'t str {
        prefix(text, &self.categories).unwrap_or(text)
    }
}

/// The longest name of a namespace, in bytes.
const LONGEST: usize = 128;

/// What follows one of the names and a colon.
fn prefix<'t>(title: &'t str, names: &[String]) -> Option<&'t str> {
    let start = &title.as_bytes()[..title.len().min(LONGEST)];
    let colon = memchr::memchr(b':', start)?;
    let (name, rest) = (title.get(..colon)?, title.get(colon + 1..)?);
    let alike = |known: &String| {
        known.eq_ignore_ascii_case(name) || (!name.is_ascii() && known.to_lowercase() == name.to_lowercase())
    };
    names.iter().any(alike).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_s_name_tells_its_language() {
        for (name, code) in [
            ("enwiki-20230320-pages-articles-multistream1.xml-p1p41242.bz2", Some("en")),
            ("dbpedia_minidump_bgwiki.xml.bz2", Some("bg")),
            ("zh_min_nanwiki-latest-pages-articles.xml", Some("zh-min-nan")),
            ("be_x_oldwiki.xml", Some("be-x-old")),
            ("simplewiki.xml", Some("simple")),
            ("dumpster_tinywiki-latest-pages-articles.xml", None),
            ("mediawiki.xml", None),
            ("enwikiquote-latest.xml", None),
            ("wiki.xml", None),
        ] {
            assert_eq!(language_of(name).as_deref(), code, "{name}");
        }
    }

    #[test]
    fn links_are_known_by_their_namespace() {
        let names = Names::of("ru", &Site::default());
        for file in ["File:a", "image:a", "Файл:а", "файл:а", "ИЗОБРАЖЕНИЕ:а", "Media:a:b"] {
            assert!(names.is_file(file), "{file}");
        }
        for no in ["a", ":File:a", "Files:a", " File:a", "Datei:a", "", ":"] {
            assert!(!names.is_file(no) && !names.is_category(no), "{no}");
        }
        assert_eq!(names.without_category("Категория:Река"), "Река");
        let mut site = Site::default();
        site.namespaces = vec![(6, "Wêne".into()), (14, "Kategorî".into())];
        assert!(Names::of("ku", &site).is_file("wêne:a") && Names::of("ku", &site).is_category("Kategorî:b"));
    }
}
