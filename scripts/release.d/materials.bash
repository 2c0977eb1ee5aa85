# shellcheck shell=bash
# The bill of materials, CycloneDX 1.5: each crate that is linked into a program, with its
# version, licence, and the sha256 by which cargo knows it, and the two libraries of this machine
# that are in it besides, whose faults are mended by building anew.

# What it is built for.
readonly PLATFORM=x86_64-unknown-linux-gnu

materials() {
  told 'bill of materials'
  local crates
  crates=$(linked_crates)
  cargo metadata --locked --format-version 1 --filter-platform "$PLATFORM" | jq -S \
    --arg version "$VERSION" \
    --arg time "$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)" \
    --argjson linked "$(jq -R . <<<"$crates" | jq -s .)" \
    --argjson checksums "$(checksums)" --arg rust "$(rustc -V | cut -d ' ' -f 2)" \
    --arg libc "$(getconf GNU_LIBC_VERSION | cut -d ' ' -f 2)" '
    def library($name; $version; $licence): {
      type: "library", name: $name, version: $version,
      purl: "pkg:generic/\($name)@\($version)", "bom-ref": "pkg:generic/\($name)@\($version)",
      licenses: [{ expression: $licence }]
    };
    def component: . as $crate | {
      type: "library", name, version,
      purl: "pkg:cargo/\(.name)@\(.version)",
      "bom-ref": "pkg:cargo/\(.name)@\(.version)",
      description: (.description // "" | gsub("\\s+"; " ")),
      licenses: [{ expression: (.license // "" | gsub("/"; " OR ")) }],
      hashes: [{ alg: "SHA-256", content: $checksums["\($crate.name) \($crate.version)"] }]
    };
    {
      bomFormat: "CycloneDX", specVersion: "1.5", version: 1,
      metadata: {
        timestamp: $time,
        component: { type: "application", name: "octo", version: $version, "bom-ref": "octo",
          licenses: [{ expression: "MIT OR Apache-2.0" }] }
      },
      components: ([.packages[] | select(.source != null)
          | select("\(.name) \(.version)" | IN($linked[])) | component]
        + [library("glibc"; $libc; "LGPL-2.1-or-later"),
          library("rust-std"; $rust; "MIT OR Apache-2.0")]) | sort_by(.purl)
    }'
}

# linked_crates: `NAME VERSION` of all that the programs are made of, what only builds or tests
# them apart
linked_crates() {
  cargo tree --locked --workspace --exclude hello-web --edges normal,no-proc-macro \
    --prefix none --format '{p}' --target "$PLATFORM" |
    awk '{ sub(/^v/, "", $2); print $1, $2 }' | sort -u
}

# checksums: by `NAME VERSION`, as Cargo.lock has them
checksums() {
  awk -F '"' '
    /^name = / { name = $2 }
    /^version = / { version = $2 }
    /^checksum = / { printf "%s %s\t%s\n", name, version, $2 }
  ' Cargo.lock | jq -R 'split("\t") | { (.[0]): .[1] }' | jq -s add
}
