import { useRef, useState, type SubmitEvent } from 'react'
import { ApiError, signIn, type User } from './api'

/** The server's 40 characters, of which each may take two units of UTF-16. */
const maxUnits = 80

interface Props {
  name: string
  note: string
  onSignedIn: (user: User) => void
}

export function SignIn({ name: initial, note, onSignedIn }: Props) {
  const [name, setName] = useState(initial)
  const [error, setError] = useState(note)
  const [invalid, setInvalid] = useState(false)
  const [busy, setBusy] = useState(false)
  const field = useRef<HTMLInputElement>(null)

  const submit = async (event: SubmitEvent) => {
    event.preventDefault()
    setBusy(true)
    try {
      onSignedIn(await signIn(name))
    } catch (err) {
      setError(err instanceof Error ? err.message : String(err))
      setInvalid(err instanceof ApiError && err.field === 'name')
      setBusy(false)
      field.current?.focus()
    }
  }

  return (
    <main className="signin">
      <form className="card" onSubmit={submit}>
        <img src="/icon.svg" alt="" width="48" height="48" />
        <h1>Carillon chat</h1>
        <p className="muted">Choose a name and come into the lobby. No account is needed.</p>
        <label htmlFor="name">Your name</label>
        <input
          ref={field}
          id="name"
          data-testid="name"
          value={name}
          onChange={(e) => setName(e.target.value)}
          maxLength={maxUnits}
          autoComplete="nickname"
          autoFocus
          required
          aria-invalid={invalid}
          aria-describedby="signin-error"
        />
        <p id="signin-error" className="error" role="alert">
          {error}
        </p>
        <button className="primary" data-testid="enter" disabled={busy || !name.trim()}>
          Come in
        </button>
      </form>
    </main>
  )
}
