//! The page that `oracle compare --report html=PATH` writes, as a real browser shows it.

use libtest_mimic::{Arguments, Failed, Trial};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

/// Names of the browser's program.
const BROWSERS: [&str; 2] = ["chromium", "chromium-browser"];
/// A case besides those of the known divergences, which are what differs.
const CASE: &str = r#"{"fixture": {"size": 1048576, "format": "raw"}, "resizes": [{"size": "2M"}]}"#;
/// How many milliseconds the browser may take until the page is complete.
const BUDGET: &str = "--virtual-time-budget=5000";

fn main() -> ExitCode {
    let name = "the page opens in a browser, and so does what differs";
    let missing = match (browser(), answers("qemu-img")) {
        (None, _) => Some("no chromium in PATH"),
        (_, false) => Some("no qemu-img in PATH"),
        _ => None,
    };
    let trial = match missing {
        Some(why) => Trial::test(format!("{name} ({why})"), || Ok(())).with_ignored_flag(true),
        None => Trial::test(name, page),
    };
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit_code()
}

fn answers(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

fn browser() -> Option<&'static str> {
    BROWSERS.into_iter().find(|program| answers(program))
}

fn page() -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let page = report(dir.path())?;
    let text = std::fs::read_to_string(&page)?;
    let link = text.split("href=\"#d").nth(1).and_then(|rest| rest.split('"').next());
    let link = format!("d{}", link.ok_or("no cell leads to what differs")?);

    let closed = dom(dir.path(), &page, "")?;
    let rows = closed.matches("<tr id=\"r").count();
    ensure(rows > 6 && closed.contains("<table class=\"grid\">"), "no table of cases")?;
    ensure(!closed.contains("<details open"), "something is open before it was asked for")?;
    let opened = dom(dir.path(), &page, &link)?;
    ensure(opened.matches("<details open").count() == 1, "the link opened nothing, or too much")?;
    let block = opened.split("<details open").nth(1).and_then(|rest| rest.split("</details>").next());
    let block = block.unwrap_or_default();
    ensure(block.contains(&format!("id=\"{link}\"")), "the link opened another block")?;
    ensure(block.contains("<tr class=\"differs"), "no line is marked as differing")?;

    let shot = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report.png");
    let _ = std::fs::remove_file(&shot);
    chromium(
        dir.path(),
        &[&format!("--screenshot={}", shot.display()), "--window-size=1400,1600"],
        &page,
        "",
    )?;
    let image = std::fs::read(&shot)?;
    ensure(image.starts_with(b"\x89PNG") && image.len() > 20_000, "the screenshot is empty")?;
    println!("screenshot: {}", shot.display());
    Ok(())
}

fn ensure(holds: bool, otherwise: &str) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}

/// A report on the known divergences and one case, by the oracle as it is.
fn report(dir: &Path) -> Result<PathBuf, Failed> {
    let case = dir.join("<b onclick='x'>&case.json");
    std::fs::write(&case, CASE)?;
    let page = dir.join("report.html");
    let mut command = Command::new(env!("CARGO_BIN_EXE_oracle"));
    command.args(["compare", "--engine", "in-process", "--case"]).arg(&case);
    command.arg("--keep").arg(dir.join("findings"));
    command.arg("--report").arg(format!("html={}", page.display()));
    let output = command.output()?;
    let text = std::fs::read_to_string(&page)
        .map_err(|e| format!("{e}: {}", String::from_utf8_lossy(&output.stderr)))?;
    ensure(text.contains("&lt;b onclick"), "the case's name is not there")?;
    ensure(!text.contains("<b onclick"), "the case's name is not escaped")?;
    ensure(!text.contains("http://") && !text.contains("https://"), "the page leads out")?;
    Ok(page)
}

/// The page's document after the browser has gone to `fragment`.
fn dom(dir: &Path, page: &Path, fragment: &str) -> Result<String, Failed> {
    let output = chromium(dir, &["--dump-dom", BUDGET], page, fragment)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn chromium(dir: &Path, options: &[&str], page: &Path, fragment: &str) -> Result<Output, Failed> {
    let profile = tempfile::tempdir_in(dir)?;
    let mut command = Command::new(browser().ok_or("no chromium")?);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]);
    command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
    command.arg(format!("--user-data-dir={}", profile.path().display())).args(options);
    let hash = if fragment.is_empty() { String::new() } else { format!("#{fragment}") };
    command.arg(format!("file://{}{hash}", page.display()));
    let output = command.output()?;
    if output.status.success() {
        return Ok(output);
    }
    Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)).into())
}
