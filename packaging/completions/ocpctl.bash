# bash completion for ocpctl; written by packaging/dev/write_man.py
_ocpctl() {
    local word=${COMP_WORDS[COMP_CWORD]} path= at=1 said
    COMPREPLY=()
    case "${COMP_WORDS[COMP_CWORD-1]}" in
        --socket) mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        --instance) return ;;
    esac
    while ((at < COMP_CWORD)); do
        case "${COMP_WORDS[at]}" in
            --socket | --instance) ((at += 1)) ;;
            -*) ;;
            *) path="${path:+$path }${COMP_WORDS[at]}" ;;
        esac
        ((at += 1))
    done
    case "$path" in
        "") said="usage status health doctor keys quota settings logs models sessions clear auth audit reload restart update backup restore import-ocp completion version help --socket --instance --json --version --help" ;;
        "keys add" | "keys add "*) said="--expires-in-days --models --mcp-servers --allowed-tools --role --weight --note --json --socket --instance --help" ;;
        "keys revoke" | "keys revoke "*) said="--json --socket --instance --help" ;;
        "keys rotate" | "keys rotate "*) said="--json --socket --instance --help" ;;
        "keys show" | "keys show "*) said="--json --socket --instance --help" ;;
        "keys set" | "keys set "*) said="--role --weight --json --socket --instance --help" ;;
        "keys rename" | "keys rename "*) said="--json --socket --instance --help" ;;
        "auth status" | "auth status "*) said="--json --socket --instance --help" ;;
        "auth login" | "auth login "*) said="--json --socket --instance --help" ;;
        "auth token" | "auth token "*) said="--remove --json --socket --instance --help" ;;
        "auth admin-key" | "auth admin-key "*) said="--rotate --json --socket --instance --help" ;;
        "usage" | "usage "*) said="--by-key --since --json --socket --instance --help" ;;
        "status" | "status "*) said="--json --socket --instance --help" ;;
        "health" | "health "*) said="--json --socket --instance --help" ;;
        "doctor" | "doctor "*) said="--json --socket --instance --help" ;;
        "keys" | "keys "*) said="add revoke rotate show set rename --json --socket --instance --help" ;;
        "quota" | "quota "*) said="--json --socket --instance --help" ;;
        "settings" | "settings "*) said="--reset --explain --json --socket --instance --help" ;;
        "logs" | "logs "*) said="--follow --json --socket --instance --help" ;;
        "models" | "models "*) said="--json --socket --instance --help" ;;
        "sessions" | "sessions "*) said="--json --socket --instance --help" ;;
        "clear" | "clear "*) said="--json --socket --instance --help" ;;
        "auth" | "auth "*) said="status login token admin-key --json --socket --instance --help" ;;
        "audit" | "audit "*) said="--json --socket --instance --help" ;;
        "reload" | "reload "*) said="--json --socket --instance --help" ;;
        "restart" | "restart "*) said="gateway --json --socket --instance --help" ;;
        "update" | "update "*) said="--check --yes --json --socket --instance --help" ;;
        "backup" | "backup "*) said="--force --json --socket --instance --help" ;;
        "restore" | "restore "*) said="--yes --json --socket --instance --help" ;;
        "import-ocp" | "import-ocp "*) said="--dry-run --takeover --yes --json --socket --instance --help" ;;
        "completion" | "completion "*) said="bash zsh fish --json --socket --instance --help" ;;
        "version" | "version "*) said="--json --socket --instance --help" ;;
        "help" | "help "*) said="usage status health doctor keys quota settings logs models sessions clear auth audit reload restart update backup restore import-ocp completion version help --json --socket --instance --help" ;;
        *) said="" ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$said" -- "$word")
    case "$path" in backup|restore|import-ocp)
        mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$word") ;;
    esac
}
complete -o filenames -F _ocpctl ocpctl
