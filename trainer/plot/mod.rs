//! Curves of runs, as a picture: what is in it is laid out once, whatever it is written as.

mod chart;
mod curves;
mod picture;
mod png;
mod scale;
mod svg;

use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};

/// What a picture is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Shapes.
    Svg,
    /// Pixels.
    Png,
}

impl Form {
    /// The form that a file's ending asks for.
    pub fn of(path: &Path) -> Option<Form> {
        let ending = path.extension()?.to_ascii_lowercase();
        match ending.to_str()? {
            "svg" => Some(Form::Svg),
            "png" => Some(Form::Png),
            _ => None,
        }
    }
}

/// Draws the losses of runs by their tokens, of all and of each slice: the bytes of a file.
pub fn plot(folders: &[PathBuf], form: Form) -> Result<Vec<u8>> {
    let mut runs = Vec::new();
    for (folder, name) in folders.iter().zip(curves::names(folders)) {
        runs.push(curves::Run { name, ..curves::read(folder)? });
    }
    if runs.iter().all(|run| run.all.learned.is_empty() && run.all.held.is_empty()) {
        return Err(match runs.iter().map(|run| run.skipped.len()).sum() {
            0 => Failure::configuration("no step was told yet").hint("plot a run that has done some steps"),
            skipped => Failure::configuration(format!("all {skipped} steps were skipped: there is no loss to draw"))
                .hint(format!("{} says why", crate::report::METRICS)),
        });
    }
    let picture = chart::chart(&runs);
    match form {
        Form::Svg => Ok(svg::svg(&picture).into_bytes()),
        Form::Png => png::png(&picture).map_err(|error| {
            Failure::new(crate::failure::Code::Failed, format!("cannot compress the picture: {error}"))
        }),
    }
}

#[cfg(test)]
mod tests;
