//! Pictures as SVG, which needs nothing else to be seen.

use std::fmt::Write as _;

use super::picture::{Anchor, Colour, Picture, Shape};

/// The picture as a document of XML.
pub fn svg(picture: &Picture) -> String {
    let Picture { width, height, shapes } = picture;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for shape in shapes {
        // A string takes all that it is given.
        let _ = match shape {
            Shape::Line { points, colour, width, dash } => {
                let dash = dash.map_or_else(String::new, |[ink, gap]| format!(" stroke-dasharray=\"{ink} {gap}\""));
                let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
                writeln!(
                    out,
                    "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{width}\" \
                     stroke-linejoin=\"round\"{dash}/>",
                    points.join(" "),
                    hex(*colour)
                )
            }
            Shape::Dot { at: (x, y), radius, colour } => {
                writeln!(out, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{}\"/>", hex(*colour))
            }
            Shape::Text { at: (x, y), anchor, text, colour, bold } => {
                let anchor = match anchor {
                    Anchor::Start => "",
                    Anchor::Middle => " text-anchor=\"middle\"",
                    Anchor::End => " text-anchor=\"end\"",
                };
                let weight = if *bold { " font-weight=\"bold\"" } else { "" };
                let (fill, text) = (hex(*colour), escaped(text));
                writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" fill=\"{fill}\"{anchor}{weight}>{text}</text>")
            }
        };
    }
    out + "</svg>\n"
}

fn hex([red, green, blue]: Colour) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
