#!/bin/sh
# First process of the image: runs the application, or one of the commands of a MONAI Application Package.
#   (nothing) or options of the application    run it on /var/holoscan/input
#   show [app|pkg|bom]                         print the manifests, or one of them, or the bill of materials
#   extract                                    copy to what is mounted at /var/run/holoscan/export
set -eu
application=${MAP_APPLICATION:-/opt/holoscan/app}
export_root=${MAP_EXPORT:-/var/run/holoscan/export}

copy() {  # copy SOURCE FOLDER: the content of a folder, or a file
    mkdir -p "$2" && if [ -d "$1" ]; then cp -R "$1/." "$2"; else cp "$1" "$2"; fi || {
        echo "error: expected $2 that user $(id -u) may write, got a refusal: mount one with his rights" >&2
        exit 13
    }
}
copy_part() {  # copy_part app|config|models|docs FOLDER
    case $1 in
        app) copy "$application" "$2" ;;
        models) copy "$HOLOSCAN_MODEL_PATH" "$2" ;;
        docs) copy "$HOLOSCAN_DOCS" "$2" ;;
        config)
            for file in "$HOLOSCAN_CONFIG_PATH" "$HOLOSCAN_APP_MANIFEST_PATH" "$HOLOSCAN_PKG_MANIFEST_PATH"; do
                copy "$file" "$2"
            done ;;
    esac
}
extract() {
    [ -d "$export_root" ] || {
        echo "error: expected a folder mounted at $export_root, got none: mount one" >&2
        exit 14
    }
    found=
    for part in app config models docs; do
        if [ -d "$export_root/$part" ]; then found=yes; copy_part $part "$export_root/$part"; fi
    done
    [ -z "$found" ] || return 0
    for part in app config models docs; do copy_part $part "$export_root/$part"; done
}
show() {
    case ${1-} in
        "") cat "$HOLOSCAN_APP_MANIFEST_PATH" "$HOLOSCAN_PKG_MANIFEST_PATH" ;;
        app) cat "$HOLOSCAN_APP_MANIFEST_PATH" ;;
        pkg) cat "$HOLOSCAN_PKG_MANIFEST_PATH" ;;
        bom) cat "$HOLOSCAN_DOCS/bom.cdx.json" ;;
        *)
            echo "error: expected show, or show app, pkg or bom, got '$1': choose one" >&2
            exit 14 ;;
    esac
}
case ${1-} in
    show) shift; show "$@" ;;
    extract) extract ;;
    *)
        ulimit -s 32768 2>/dev/null || :  # holoscan wants that much stack; a lower limit of the host stays
        exec python "$application" "$@" ;;
esac
