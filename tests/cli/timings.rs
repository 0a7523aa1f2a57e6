//! `--timings`: the page is read by a real browser.

use std::path::Path;
use std::process::Command;

use crate::support::{Done, Sandbox};

/// Two tasks, the second of which waits for the first.
fn two_tasks(sandbox: &Sandbox) {
    sandbox.task_plugin("shop");
    let copy = sandbox.read("shop/mwp.toml");
    sandbox.write(
        "shop/mwp.toml",
        format!(
            "{copy}\n[tasks.\"count-what-was-copied\"]\ninputs = [\"config.ini\"]\noutputs = [\"number\"]\n\
             dependencies = [\"copy\"]\ncommand = [\"sh\", \"-c\", \"ls out | wc -l > number\"]\n"
        ),
    );
}

fn data(page: &str) -> serde_json::Value {
    let (_, rest) = page.split_once("id=\"data\">").unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

/// What a page says of a task.
fn task(data: &serde_json::Value, name: &str) -> serde_json::Value {
    let tasks = data["projects"][0]["tasks"].as_array().unwrap();
    tasks.iter().find(|task| task["task"] == name).unwrap().clone()
}

/// The page as a browser shows it, with what the browser complains of.
fn in_browser(sandbox: &Sandbox, page: &Path) -> Option<Done> {
    let program =
        ["/usr/bin/chromium", "/usr/bin/google-chrome"].into_iter().find(|path| Path::new(path).exists())?;
    let mut command = Command::new(program);
    command.args([
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--enable-logging=stderr",
        "--dump-dom",
    ]);
    command.arg(format!("--user-data-dir={}", sandbox.path("browser").display()));
    command.env("HOME", sandbox.path("home")).arg(format!("file://{}", page.display()));
    Some(Done::of(&mut command).succeeded())
}

#[test]
fn the_page_says_of_each_task_when_it_ran_and_why() {
    let sandbox = Sandbox::new();
    two_tasks(&sandbox);
    sandbox.ok(["build", "-C", "shop", "--timings"]).says("timings are in `shop/.mwp/timings.html`");
    let first = data(&sandbox.read("shop/.mwp/timings.html"));
    assert_eq!(task(&first, "copy")["outcome"], "ran");
    assert_eq!(task(&first, "count-what-was-copied")["after"][0], "copy");
    sandbox.write("shop/config.ini", format!("{}# <script>alert(1)</script>\n", crate::support::CONFIG));
    sandbox.ok(["build", "-C", "shop", "--timings=pages/shop.html"]);
    let page = sandbox.read("pages/shop.html");
    let again = data(&page);
    assert_eq!(task(&again, "copy")["outcome"], "fresh");
    assert!(task(&again, "count-what-was-copied")["reasons"][0].as_str().unwrap().contains("config.ini"));
    assert!(!page.contains("<script>alert"), "what is shown is text");
}

#[test]
fn a_failed_build_has_a_page_too_and_a_dry_run_writes_nothing() {
    let sandbox = Sandbox::new();
    two_tasks(&sandbox);
    sandbox.ok(["build", "-C", "shop", "--dry-run", "--timings=page.html"]);
    assert!(!sandbox.work().join("page.html").exists());
    let broken = sandbox.read("shop/mwp.toml").replace("mkdir -p out", "false");
    sandbox.write("shop/mwp.toml", broken);
    sandbox.fails(1, ["build", "-C", "shop", "--timings=page.html"]);
    let data = data(&sandbox.read("page.html"));
    assert_eq!(task(&data, "copy")["outcome"], "failed");
    assert_eq!(task(&data, "count-what-was-copied")["outcome"], "not_started");
}

#[test]
fn a_release_shows_what_fills_it() {
    let sandbox = Sandbox::new();
    two_tasks(&sandbox);
    sandbox.write("shop/node_modules/pad/package.json", "{\"version\": \"1.3.0\"}");
    sandbox.ok(["release", "-C", "shop", "--timings=page.html"]);
    let data = data(&sandbox.read("page.html"));
    let package = &data["releases"][0]["packages"][0];
    assert_eq!((&package["name"], &package["version"]), (&"pad".into(), &"1.3.0".into()));
}

#[test]
fn a_browser_shows_each_task_without_a_complaint_and_fits_a_telephone() {
    let sandbox = Sandbox::new();
    two_tasks(&sandbox);
    sandbox.ok(["release", "-C", "shop", "--timings=page.html"]);
    let page = sandbox.work().join("page.html");
    let Some(shown) = in_browser(&sandbox, &page) else { return };
    assert!(!shown.stderr.contains("CONSOLE"), "{}", shown.stderr);
    for task in ["copy", "count-what-was-copied"] {
        assert!(shown.stdout.contains(&format!("data-task=\"{task}\"")), "{}", shown.stdout);
    }
    // A browser's window has a least width: the page goes into a frame of that of a telephone, which measures it.
    let page = sandbox.read("page.html").replace("default-src 'none'", "default-src 'self' 'unsafe-inline'");
    let measure = "<script>document.documentElement.dataset.overflow = \
                   document.documentElement.scrollWidth - document.documentElement.clientWidth; \
                   parent.postMessage(document.documentElement.dataset.overflow, '*')</script></body>";
    sandbox.write("measured.html", page.replace("</body>", measure));
    let frame = sandbox.write(
        "frame.html",
        "<script>onmessage = message => document.body.dataset.overflow = message.data</script>\
         <body><iframe width=375 height=800 style='border:0' src=measured.html></iframe></body>",
    );
    let shown = in_browser(&sandbox, &frame).unwrap();
    assert!(shown.stdout.contains("data-overflow=\"0\""), "{}", shown.stdout);
}
