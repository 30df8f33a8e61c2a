//! `doctor`: what is missing on this machine, and what to do about it.

use crate::cli::DoctorArgs;
use crate::failure::{Code, Failure, Result};
use crate::report::print;
use crate::size::Size;
use crate::{inputs, manifest, metrics, pipeline};

/// Runs `doctor`.
pub fn doctor(args: &DoctorArgs) -> Result<()> {
    let mut missing = 0;
    let mut line = |fine: bool, what: String, help: &str| {
        print(&format!("{} {what}\n", if fine { "ok     " } else { "missing" }));
        if !fine {
            missing += 1;
            print(&format!("        {help}\n"));
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    line(true, format!("{cores} cores, {} of memory", Size(metrics::machine_memory())), "");
    let here = std::env::current_dir().map_err(Failure::io("cannot find", "the current folder"))?;
    let free = |path: &std::path::Path| {
        rustix::fs::statvfs(path).map_or(0, |found| found.f_bavail.saturating_mul(found.f_frsize))
    };
    line(
        free(&here) > 1 << 30,
        format!("{} free in {}", Size(free(&here)), here.display()),
        "a run keeps kept documents and tokens: `redpajama plan` estimates how much; --output names another disk",
    );
    let temporary = std::env::temp_dir();
    line(
        free(&temporary) > 256 << 20,
        format!("{} free in {} (for estimates)", Size(free(&temporary)), temporary.display()),
        "set TMPDIR to a folder with some room",
    );
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    line(files >= 1024, format!("{files} files may be open at once"), "`ulimit -n 4096` before a run");
    let writable = tempfile::tempfile_in(&here).is_ok();
    line(writable, format!("{} can be written to", here.display()), "go to another folder, or give --output");
    let models = pipeline::models()?;
    let (families, alone): (Vec<_>, Vec<_>) =
        models.into_iter().filter(|_| args.pipeline.is_none()).partition(|(_, model)| model.family.is_some());
    let mut there: std::collections::BTreeMap<String, (usize, usize)> = Default::default();
    for (_, model) in &families {
        let (here, all) = there.entry(model.family.clone().unwrap_or_default()).or_default();
        *here += usize::from(manifest::models_folder().join(&model.file).is_file());
        *all += 1;
    }
    for (family, (here, all)) in there {
        // Nobody needs all of them.
        line(true, format!("{here} of {all} models {family}"), "");
    }
    for (name, model) in alone {
        let path = manifest::models_folder().join(&model.file);
        let found = std::fs::metadata(&path).ok();
        let help = format!(
            "`redpajama fetch --model {name}` brings it, as does the first build that needs it ({}, {}); or set \
             REDPAJAMA_MODELS to a folder that has it, or use another with --set {}=FILE",
            model.url, model.license, model.kind
        );
        line(found.is_some(), format!("{} {name} at {}", model.kind, path.display()), &help);
        if let (Some(found), Some(bytes)) = (found, model.bytes)
            && found.len() != bytes
        {
            print(&format!(
                "        note: it has {} bytes, the published one {bytes}: what it says may differ\n",
                found.len()
            ));
        }
    }
    let read = args.pipeline.as_ref().map(|choice| pipeline::read(choice, &[])).transpose()?;
    for told in sources::told().into_iter().filter(|_| read.is_none()) {
        let folder = manifest::raw_folder(told.name);
        let downloads = manifest::read(told.name)?.downloads;
        let help = match downloads.is_empty() {
            false => format!(
                "`redpajama fetch --slice {}` brings them (--plan says how much that is); or give files with --input",
                told.name
            ),
            true => format!("`redpajama sources {}` tells what it reads; or give files with --input", told.name),
        };
        line(folder.is_dir(), format!("raw files of slice {} in {}", told.name, folder.display()), &help);
    }
    if let Some(read) = read {
        let models = inputs::load_models(&read);
        let help = match &models {
            Err(failure) => {
                let place = failure.place.as_ref().map(|place| format!("{}:{}: ", place.file, place.line));
                let hint = failure.hint.as_ref().map(|hint| format!("; {hint}"));
                format!("{}{}{}", place.unwrap_or_default(), failure.message, hint.unwrap_or_default())
            }
            Ok(_) => String::new(),
        };
        line(models.is_ok(), format!("models of pipeline {}", read.name), &help);
        let files = inputs::find_raw_files(&read, &[], &std::path::PathBuf::from("out").join(&read.name));
        let help = match &files {
            Err(failure) => failure.message.clone(),
            Ok(_) => String::new(),
        };
        line(files.is_ok(), format!("raw files of pipeline {}", read.name), &help);
    }
    match missing {
        0 => Ok(()),
        1 => Err(Failure::new(Code::Failed, "one thing is missing; not every pipeline needs everything")),
        many => {
            Err(Failure::new(Code::Failed, format!("{many} things are missing; not every pipeline needs everything")))
        }
    }
}
