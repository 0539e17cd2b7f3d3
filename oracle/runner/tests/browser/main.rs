//! The page that `oracle compare --report html=PATH` writes of every version, as a real browser shows it.

mod planted;

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
    let name = "the page of every version opens in a browser, and so does what differs";
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
    let closed = dom(dir.path(), &page, "")?;
    let rows = closed.matches("<tr id=\"r").count();
    ensure(rows > 6 && closed.contains("<table class=\"grid\">"), "no table of cases")?;
    ensure(closed.contains("class=\"verdict disagree\""), "the verdict is not that of the whole run")?;
    ensure(!closed.contains("<details open"), "something is open before it was asked for")?;
    let columns = columns(&closed);
    ensure(columns.len() > 24, &format!("only {} columns: {columns:?}", columns.len()))?;
    for version in planted::versions()? {
        ensure(columns.contains(&version.as_str()), &format!("{version} is no column"))?;
    }

    let known = link(&closed, "known").ok_or("no cell leads to a known divergence")?;
    opens(dir.path(), &page, known, "<span class=\"tag known\">")?;
    let wrong = link(&closed, "disagree edge").or_else(|| link(&closed, "disagree"));
    let wrong = wrong.ok_or("no cell leads to what is planted")?;
    ensure(closed.matches("<td class=\"disagree").count() == 1, "more differs than what is planted")?;
    let column = wrong.rsplit('-').next().and_then(|column| columns.get(column.parse::<usize>().ok()?));
    ensure(column == Some(&planted::VERSION), &format!("{column:?} differs, not {}", planted::VERSION))?;
    let block = opens(dir.path(), &page, wrong, planted::CLASS)?;
    ensure(block.contains("<tr class=\"differs field\""), "the class's own field is not marked")?;
    ensure(
        block.contains(&format!("qemu-img {} (baseline)</th>", planted::VERSION)),
        "who answered is not said",
    )?;

    let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
    screenshot(dir.path(), &page, "1900,1600", &place.join("report.png"))?;
    screenshot(dir.path(), &page, "700,1600", &place.join("report-narrow.png"))
}

/// The names in the second line of the table's head.
fn columns(dom: &str) -> Vec<&str> {
    let head = dom.split("</thead>").find(|part| part.contains("<table class=\"grid\">")).unwrap_or_default();
    let line = head.rsplit("<tr>").next().unwrap_or_default();
    line.split("</th>")
        .filter_map(|cell| cell.rsplit_once('>').map(|(_, name)| name))
        .filter(|n| !n.is_empty())
        .collect()
}

/// Where the first cell of that class leads to, if to a block.
fn link<'d>(dom: &'d str, class: &str) -> Option<&'d str> {
    let start = format!("<td class=\"{class}\"");
    let cells = dom.split(start.as_str()).skip(1);
    let mut links =
        cells.filter_map(|cell| cell.split("</td>").next()?.split("href=\"#").nth(1)?.split('"').next());
    links.find(|link| link.starts_with('d'))
}

/// The block that opens when the browser goes to `link`; it alone, and with `content` and a marked line in it.
fn opens(dir: &Path, page: &Path, link: &str, content: &str) -> Result<String, Failed> {
    let opened = dom(dir, page, link)?;
    ensure(opened.matches("<details open").count() == 1, "the link opened nothing, or too much")?;
    let block = opened.split("<details open").nth(1).and_then(|rest| rest.split("</details>").next());
    let block = block.unwrap_or_default();
    ensure(block.contains(&format!("id=\"{link}\"")), "the link opened another block")?;
    ensure(block.contains("<tr class=\"differs"), "no line is marked as differing")?;
    ensure(block.contains(content), &format!("{content} is not there"))?;
    Ok(block.to_string())
}

fn screenshot(dir: &Path, page: &Path, size: &str, shot: &Path) -> Result<(), Failed> {
    let _ = std::fs::remove_file(shot);
    chromium(
        dir,
        &[&format!("--screenshot={}", shot.display()), &format!("--window-size={size}")],
        page,
        "",
    )?;
    let image = std::fs::read(shot)?;
    ensure(image.starts_with(b"\x89PNG") && image.len() > 20_000, "the screenshot is empty")?;
    println!("screenshot: {}", shot.display());
    Ok(())
}

fn ensure(holds: bool, otherwise: &str) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}

/// A report on the known divergences, one case and a few of the baselines, by the oracle as it is.
fn report(dir: &Path) -> Result<PathBuf, Failed> {
    let case = dir.join("<b onclick='x'>&case.json");
    std::fs::write(&case, CASE)?;
    let page = dir.join("report.html");
    let mut command = Command::new(env!("CARGO_BIN_EXE_oracle"));
    let baselines = dir.join("baselines");
    planted::baselines(&baselines)?;
    command.args(["compare", "--qemu", "all", "--engine", "in-process", "--case"]).arg(&case);
    command.arg("--baselines").arg(&baselines);
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
