import { useId, useRef, useState, type SubmitEvent } from 'react'
import { signIn } from '../api/calls'
import { ApiError, words } from '../api/request'
import type { Role, Session } from '../api/types'
import { getRoute } from '../state/route'
import { Avatar } from '../ui/Avatar'
import { Icon } from '../ui/Icon'
import './signin.css'

interface Props {
  /** Null if the server could not be asked. */
  session: Session | null
  name: string
  note: string
  onRetry(): void
  onSignedIn(session: Session): void
}

const shortest = 8

export function SignIn({ session, name: initial, note, onRetry, onSignedIn }: Props) {
  const [name, setName] = useState(initial)
  const [passphrase, setPassphrase] = useState('')
  const [shown, setShown] = useState(false)
  const [role, setRole] = useState<Role | ''>('')
  const [problem, setProblem] = useState<{ field: string; text: string }>({ field: '', text: note })
  const [busy, setBusy] = useState(false)
  const form = useRef<HTMLFormElement>(null)
  const id = useId()
  const invited = session?.invite_role ?? ''
  const roles = invited ? [] : (session?.roles ?? [])

  const submit = async (event: SubmitEvent) => {
    event.preventDefault()
    if (busy) return
    if (!name.trim()) return fail('name', 'Choose a name first.')
    if ([...passphrase].length < shortest) return fail('passphrase', `A passphrase has at least ${shortest} characters.`)
    setBusy(true)
    try {
      onSignedIn(
        await signIn({
          name: name.trim(),
          passphrase,
          ...(roles.length > 0 && { role: role || roles[0] }),
          ...(invited && { invite: getRoute().invite }),
        }),
      )
    } catch (err) {
      setBusy(false)
      fail(err instanceof ApiError ? err.field || (err.code === 'wrong_passphrase' ? 'passphrase' : '') : '', words(err))
      if (!session) onRetry()
    }
  }
  const fail = (field: string, text: string) => {
    setProblem({ field, text })
    form.current?.querySelector<HTMLElement>(`[name="${field || 'name'}"]`)?.focus()
  }
  const described = (field: string) =>
    problem.field === field ? { 'aria-invalid': true, 'aria-describedby': `${id}-problem` } : {}

  return (
    <main className="signin">
      <section className="welcome" aria-labelledby={`${id}-title`}>
        <img src="/icon.svg" alt="" width="56" height="56" />
        <h1 id={`${id}-title`}>Say it, and it stays said.</h1>
        <p>Rooms for a class, a team or two people. What you write arrives in order, and waits for you when the line drops.</p>
        <div className="sample" aria-hidden="true">
          <Avatar id={3} name="Mira" />
          <p>Is the room free at four?</p>
          <Avatar id={6} name="Jo" />
          <p>It is. I have put the slides in here 📎</p>
          <Avatar id={4} name="Sam" />
          <p>Great, see you there 👋</p>
        </div>
      </section>

      <form ref={form} className="card" onSubmit={submit} noValidate aria-label="Sign in">
        <h2>Come in</h2>
        {invited && (
          <p className="invited">
            <Icon name="people" /> You are invited as {invited === 'admin' ? 'an admin' : `a ${invited}`}.
          </p>
        )}
        {session?.demo && <p className="quiet small">This is a demo: choose any name, it is yours right away.</p>}
        <div className="field">
          <label htmlFor={`${id}-name`}>Your name</label>
          <input
            id={`${id}-name`}
            className="input"
            name="name"
            data-testid="name"
            value={name}
            onChange={(e) => setName(e.target.value)}
            maxLength={(session?.limits.name_chars ?? 40) * 2}
            autoComplete="username"
            autoCapitalize="words"
            spellCheck={false}
            autoFocus={!initial}
            {...described('name')}
          />
        </div>
        <div className="field">
          <label htmlFor={`${id}-pass`}>Passphrase</label>
          <div className="passphrase">
            <input
              id={`${id}-pass`}
              className="input"
              name="passphrase"
              data-testid="passphrase"
              type={shown ? 'text' : 'password'}
              value={passphrase}
              onChange={(e) => setPassphrase(e.target.value)}
              maxLength={200}
              autoComplete="current-password"
              autoFocus={!!initial}
              {...described('passphrase')}
            />
            <button type="button" className="button bare" aria-pressed={shown} onClick={() => setShown(!shown)}>
              {shown ? 'Hide' : 'Show'}
              <span className="hidden"> passphrase</span>
            </button>
          </div>
          <p className="quiet small">New here? The name becomes yours, and this passphrase its key.</p>
        </div>
        {roles.length > 0 && (
          <fieldset className="field roles">
            <legend>I am a</legend>
            {roles.map((r, i) => (
              <label key={r}>
                <input
                  type="radio"
                  name="role"
                  value={r}
                  checked={role ? role === r : i === 0}
                  onChange={() => setRole(r)}
                />
                {r}
              </label>
            ))}
          </fieldset>
        )}
        <p id={`${id}-problem`} className="error" role="alert" data-testid="signin-problem">
          {problem.text && (
            <>
              <Icon name="warn" />
              <span>{problem.text}</span>
            </>
          )}
        </p>
        <button className="button primary" data-testid="enter" aria-busy={busy} aria-disabled={busy}>
          {busy ? 'Coming in…' : 'Come in'}
        </button>
      </form>
    </main>
  )
}
