//! stub
use crate::error::*;
use crate::plugin::*;
use crate::run::*;
use crate::site::Site;
use std::ffi::OsString;
use std::path::*;
pub struct Nginx {
    pub program: PathBuf,
}
pub struct Inputs<'a> {
    pub module: &'a Module,
    pub settings: &'a Settings,
    pub site: &'a Site,
    pub plugins: &'a [(Plugin, Vec<Service>)],
}
pub struct Configured {
    pub text: String,
    pub problems: Vec<(String, Problem)>,
    pub routes: Vec<(ServiceId, Vec<String>)>,
}
impl Nginx {
    pub fn find(_: &Site) -> Result<Nginx> {
        Ok(Nginx { program: "/usr/sbin/nginx".into() })
    }
    pub fn arguments(&self, conf: &Path, prefix: &Path) -> Vec<OsString> {
        ["-p".into(), prefix.into(), "-c".into(), conf.into(), "-g".into(), "daemon off;".into()].to_vec()
    }
}
pub fn configure(_: &Nginx, _i: &Inputs) -> Result<Configured> {
    Ok(Configured { text: "events{}".into(), problems: vec![], routes: vec![] })
}
