"""Prints the files of each pin, `{name: [{url, hashes}]}`: other_files.py OPTIONS PIN…"""
import hashlib, json, sys
from pip._internal.commands import create_command
from pip._internal.index.collector import parse_links
from pip._internal.req.req_file import parse_requirements
from pip._vendor.packaging.utils import canonicalize_name, parse_sdist_filename, parse_wheel_filename
from pip._vendor.packaging.version import Version
command = create_command('download')
options, _ = command.parse_args([])
context = command.main_context()
context.__enter__()
session = command.get_default_session(options)
finder = command._build_package_finder(options=options, session=session)
list(parse_requirements(sys.argv[1], session, finder=finder, options=options))
collector = finder._link_collector
found = {}
for pin in sys.argv[2:]:
    name, _, version = pin.partition('==')
    links = []
    def page_links(link):
        page = collector.fetch_response(link)
        links.extend(parse_links(page) if page is not None else ())
        return ()
    sources = collector.collect_sources(project_name=name, candidates_from_page=page_links)
    for source in (*sources.find_links, *sources.index_urls):
        if source is not None:
            list(source.page_candidates())
            links.extend(source.file_links())
    files = {}
    for link in links:
        try:
            if link.filename.endswith('.whl'):
                project, found_version = parse_wheel_filename(link.filename)[:2]
            else:
                project, found_version = parse_sdist_filename(link.filename)
        except Exception:
            continue
        if project != canonicalize_name(name) or found_version != Version(version):
            continue
        hashes = {link.hash_name: link.hash} if link.hash else {}
        if link.is_file and not hashes:
            with open(link.file_path, 'rb') as file:
                hashes = {'sha256': hashlib.sha256(file.read()).hexdigest()}
        files.setdefault(link.filename, {'url': link.url_without_fragment, 'hashes': hashes})
    found[name] = list(files.values())
print(json.dumps(found))
