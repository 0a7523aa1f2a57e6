//! Code of the plugin's own that today's Python does not read.

use std::path::Path;

use super::{Facts, Findings, files};
use crate::site::Site;
use crate::tools::Tools;

/// Prints `FILE:LINE: REASON` for each file that is no Python 3, and for imports of what Python 2 alone had.
const CHECK: &str = r#"
import ast, sys, warnings
warnings.simplefilter("ignore")
gone = {"urllib2", "ConfigParser", "Queue", "StringIO", "cPickle", "cStringIO", "httplib", "urlparse", "commands"}
for path in sys.argv[1:]:
    try:
        tree = ast.parse(open(path, "rb").read())
    except (SyntaxError, ValueError) as error:
        print("%s\0%d\0%s" % (path, getattr(error, "lineno", 0) or 0, getattr(error, "msg", error)))
        continue
    for node in ast.walk(tree):
        names = [name.name for name in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        for name in names:
            if name.split(".")[0] in gone:
                print("%s\0%d\0%s" % (path, node.lineno, "there is no module `%s` in Python 3" % name))
"#;

/// Without a python3 there is nobody to ask.
pub(super) fn check(facts: &Facts<'_>, site: &Site, report: &mut Findings) {
    let tools = Tools::new(site, facts.dir);
    let Some(python) = tools.find("python3") else { return };
    let files = files::of_code(facts.dir).unwrap_or_default();
    let files: Vec<_> = files
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "py"))
        .collect();
    // What a command line holds; a plugin has fewer.
    for some in files.chunks(500) {
        let some: Vec<_> = some.iter().filter_map(|path| std::path::absolute(path).ok()).collect();
        let program = tools.program(&python).arguments(["-I", "-S", "-c", CHECK]).arguments(some);
        let Ok(output) = program.output() else { return };
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let mut parts = line.splitn(3, '\0');
            let (Some(path), Some(number), Some(reason)) = (parts.next(), parts.next(), parts.next()) else {
                continue;
            };
            let dir = std::path::absolute(facts.dir).unwrap_or_default();
            let path = Path::new(path);
            let relative = path.strip_prefix(dir).unwrap_or(path);
            report.note(relative, number.parse().unwrap_or(0), format!("no Python 3: {reason}"));
        }
    }
}
